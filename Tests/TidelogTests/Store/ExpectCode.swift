import Testing
import Tidelog

/// Requires that `body` throws an error of the log with this code.
func expectCode(
    _ code: EventLogError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async {
    let error = await #expect(throws: EventLogError.self, sourceLocation: sourceLocation) { try await body() }
    #expect(error?.code == code, "\(error as Any)", sourceLocation: sourceLocation)
}

/// Requires that `body` throws an error of the log with this code.
func expectCode(
    _ code: EventLogError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    let error = #expect(throws: EventLogError.self, sourceLocation: sourceLocation) { try body() }
    #expect(error?.code == code, "\(error as Any)", sourceLocation: sourceLocation)
}
