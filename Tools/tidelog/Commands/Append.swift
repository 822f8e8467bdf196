import ArgumentParser
import Glibc
import Tidelog

struct Append: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Append one event.",
        discussion: """
            Prints where the event is once it is durable. With --expect it is appended only if its stream is as \
            expected; else the exit status is 1 and the log is unchanged. An event whose --id is in the log \
            already is not stored twice: the answer is then that of the first time.

            Examples:
              tidelog append shop --type order.placed --stream order-42 --expect none --data '{"cents":1299}'
              tidelog append shop --type order.paid --stream order-42 --expect 0 --correlation c-7
              tidelog append shop --type note.added --content-type text/plain --data 'called back'
              curl -s https://… | tidelog append shop --type page.fetched --data -
            """)

    @OptionGroup var log: LogArgument

    @Option(help: .init("What kind of thing happened, such as order.placed.", valueName: "type"))
    var type: String

    @Option(help: .init("The stream that the event belongs to.", valueName: "name"))
    var stream: String?

    @Option(
        help: .init(
            "What must be true of the stream: none (it has no events), exists, or the revision of its last event.",
            valueName: "none|exists|n"), transform: Parse.expectation)
    var expect: ExpectedRevision = .any

    @Option(
        parsing: .unconditional,
        help: .init("The payload: JSON unless --content-type says otherwise; - for standard input.",
            valueName: "json|-"))
    var data: String?

    @Option(help: .init("The payload's media type. (default: application/json)", valueName: "type"))
    var contentType: String?

    @Option(help: .init("The event's id. (default: a new UUID)", valueName: "id"))
    var id: EventID?

    @Option(help: .init("The id that ties together what one cause set off.", valueName: "id"))
    var correlation: EventID?

    @Option(help: .init("The id of the event or command that caused this one.", valueName: "id"))
    var causation: EventID?

    @Option(help: .init("What produced the event.", valueName: "source"))
    var source: String?

    @Option(help: .init("What is said about the event: a JSON object.", valueName: "json"))
    var metadata: String?

    @Option(
        help: .init("When it happened, RFC 3339. (default: now)", valueName: "time"), transform: Parse.timestamp)
    var time: Timestamp?

    @Option(help: .init("The version of the payload's schema.", valueName: "n"))
    var schemaVersion: UInt32 = 1

    @OptionGroup var output: ReportOptions

    func validate() throws {
        if self.stream == nil, self.expect != .any {
            throw ValidationError("--expect speaks of a stream: name it with --stream")
        }
    }

    func run() async throws {
        let event = try self.event()
        let log = try await self.log.openForWriting()
        let result = try await withLog(log) { log in
            try await log.append(event, expecting: self.expect)
        }
        let revision = self.stream.flatMap { result.lastRevision(of: $0) }
        try report(
            json: self.output.json,
            [
                "position": JSONText(result.positions.lowerBound), "revision": JSONText(revision),
                "id": .string(event.id.description), "repeated": .boolean(result.isRepeat),
            ],
            [
                "position \(result.positions.lowerBound)" + (revision.map { ", revision \($0)" } ?? "")
                    + (result.isRepeat ? " (in the log already)" : "")
            ])
    }

    private func event() throws -> Event {
        var bytes = Array((self.data ?? "").utf8)
        if self.data == "-" { bytes = try readAll(STDIN_FILENO, name: "standard input") }
        let contentType = self.contentType ?? (self.data == nil ? nil : EventPayload.jsonContentType)
        let payload = EventPayload(bytes: bytes, contentType: contentType)
        if payload.isDeclaredJSON { try Self.requireJSON(bytes) }
        var event = Event(
            id: self.id ?? .generate(), type: self.type, stream: self.stream, payload: payload,
            timestamp: self.time ?? .now(), source: self.source, correlationID: self.correlation,
            causationID: self.causation, schemaVersion: self.schemaVersion)
        do throws(EventLogError) {
            if let metadata { event.metadata = try EventMetadata(json: metadata.utf8) }
            try event.validate()
        } catch {
            throw Failure(.usage, Ending.text(of: error))
        }
        return event
    }

    private static func requireJSON(_ bytes: [UInt8]) throws {
        let fault: String? = bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            do throws(JSONFault) {
                _ = try scanner.skipDocument()
                return nil
            } catch {
                return "byte \(error.offset + 1): \(error.reason.rawValue)"
            }
        }
        if let fault {
            throw Failure(
                .usage, "the payload is not JSON (\(fault)); mend it, or say what it is with --content-type")
        }
    }
}
