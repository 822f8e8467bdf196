public import Tidelog

/// What every ``EventStore`` must do, as checks that any of them can be put through.
///
/// ```swift
/// @Test("the store keeps what a store promises", arguments: EventStoreConformance<MyStore>.checks)
/// func conforms(check: EventStoreConformance<MyStore>.Check) async throws {
///     try await check.run { try await MyStore.empty() }
/// }
/// ```
///
/// A check needs an empty store, throws ``EventStoreConformanceFailure`` where the store breaks its promise,
/// and whatever the store throws where it should not.
public enum EventStoreConformance<Store: EventStore> {
    /// One promise and its check.
    public struct Check: Sendable, CustomStringConvertible {
        /// The promise, in words.
        public let name: String
        private let body: @Sendable (Store) async throws -> Void

        init(_ name: String, _ body: @escaping @Sendable (Store) async throws -> Void) {
            self.name = name
            self.body = body
        }

        /// The promise, in words.
        public var description: String { self.name }

        /// Puts an empty store, which `make` makes, through the check.
        public func run(on make: () async throws -> Store) async throws {
            let store = try await make()
            do {
                try await self.body(store)
            } catch let failure as EventStoreConformanceFailure {
                throw EventStoreConformanceFailure("\(self.name): \(failure.description)")
            }
        }
    }

    /// All of them.
    public static var checks: [Check] {
        self.appending + self.conditions + self.reading + self.paging + self.streams + self.subscribing
            + self.races
    }

    /// Puts a store through all checks, a new one each time, and throws at the first that fails.
    public static func run(on make: @Sendable () async throws -> Store) async throws {
        for check in self.checks { try await check.run(on: make) }
    }
}

/// Where a store did not do what every store must.
public struct EventStoreConformanceFailure: Error, CustomStringConvertible {
    /// What was expected, and what came.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

// MARK: Saying what must be

/// Requires that something holds.
func expect(_ holds: Bool, _ message: @autoclosure () -> String) throws {
    if !holds { throw EventStoreConformanceFailure(message()) }
}

/// Requires that two values are equal.
func expectEqual<Value: Equatable>(
    _ found: Value, _ wanted: Value, _ what: @autoclosure () -> String
) throws {
    try expect(found == wanted, "\(what()) is \(found), and should be \(wanted)")
}

/// Requires that `body` throws an error with this code, and answers the error.
@discardableResult
func expectError(
    _ code: EventLogError.Code, _ what: String, _ body: () async throws -> Void
) async throws -> EventLogError {
    do {
        try await body()
    } catch let error as EventLogError {
        try expect(error.code == code, "\(what) throws \(error), and should throw \(code)")
        return error
    } catch {
        throw EventStoreConformanceFailure("\(what) throws \(error), and should throw an EventLogError")
    }
    throw EventStoreConformanceFailure("\(what) throws nothing, and should throw \(code)")
}

extension EventStore {
    /// Every event that `query` wants, by its id, read as a sequence.
    func ids(_ query: EventQuery = .all) async throws -> [String] {
        var ids: [String] = []
        for try await stored in self.load(query) { ids.append(stored.id.description) }
        return ids
    }

    /// Every event that `query` wants, by its position.
    func positions(_ query: EventQuery = .all) async throws -> [UInt64] {
        var positions: [UInt64] = []
        for try await stored in self.load(query) { positions.append(stored.position.rawValue) }
        return positions
    }
}
