import Glibc
import Logging
import TidelogStorage

/// What happens to an event whose payload is not what its schema demands.
public struct SchemaMode: Hashable, Sendable, CustomStringConvertible {
    enum Kind: UInt8 { case off, warn, enforce }
    let kind: Kind

    /// Nothing: schemas are documentation.
    public static var off: Self { .init(kind: .off) }
    /// It is appended, and the log's logger says so: one warning for each event each time it is appended,
    /// with the event's type, id and schema version and the first place that does not fit. Nothing limits
    /// their rate.
    public static var warn: Self { .init(kind: .warn) }
    /// The append that brings it is refused. The default.
    public static var enforce: Self { .init(kind: .enforce) }

    /// The name.
    public var description: String { "\(self.kind)" }
}

/// What is registered for one version of a type.
public struct RegisteredSchema: Sendable {
    /// The event type.
    public let type: String
    /// The schema version of events that it is for.
    public let version: UInt32
    /// The schema; nil where a Swift type was registered.
    public let schema: JSONSchema?
    /// The name of the Swift type, where one was registered.
    public let typeName: String?
    /// What happens to events that do not fit.
    public let mode: SchemaMode
    /// How versions of the type must go together.
    public let compatibility: SchemaCompatibility
}

/// The schemas of a log's events, kept in its head.
///
/// ```swift
/// try await log.schemas.register(
///     JSONSchema(#"{"type":"object","required":["total"],"properties":{"total":{"type":"integer"}}}"#),
///     for: "order.placed", version: 1)
/// ```
///
/// From then on appends are checked, in this process at once and in others within 50 ms. A type without a
/// schema may carry anything. A version of a type that has others, but not this one, does not fit.
public final class SchemaRegistry: Sendable {
    typealias Decode = @Sendable (EventPayload) -> String?

    private struct State {
        var table = SchemaTable()
        var stamp: [UInt8]?
        var lookedAt: UInt64?
        var decoders: [SchemaTable.Key: Decode] = [:]
    }

    private let engine: LogEngine
    private let logger: Logger
    private let state = Lock(State())

    /// How long another process's registration may go unseen.
    private static let staleNanoseconds: UInt64 = 50_000_000

    init(engine: LogEngine, logger: Logger) {
        self.engine = engine
        self.logger = logger
    }

    // MARK: Registering

    /// Registers a schema for a version of a type. Registering the same again changes nothing.
    ///
    /// - Throws: ``EventLogError`` with code `incompatibleSchema` if it does not go together with the version
    ///   before it; `alreadyExists` if the version has another schema.
    public func register(
        _ schema: JSONSchema, for type: String, version: UInt32 = 1
    ) async throws(EventLogError) {
        try await self.register(type, version, SchemaTable.Entry(schema: schema, typeName: nil))
    }

    /// Registers a Swift type: payloads of this version must decode as it.
    ///
    /// The head remembers its name; code cannot be kept there, so events are checked in processes that
    /// registered it, and pass in others. Versions are not compared.
    public func register<Payload: Decodable & Sendable>(
        _ payload: Payload.Type, for type: String, version: UInt32 = 1
    ) async throws(EventLogError) {
        try await self.register(
            type, version, SchemaTable.Entry(schema: nil, typeName: String(reflecting: payload)))
        self.state.withLock { state in
            state.decoders[.init(type: type, version: version)] = { bytes in
                do throws(EventLogError) {
                    _ = try bytes.decode(as: payload)
                    return nil
                } catch {
                    return "at \(Self.place(of: error.cause)): cannot be read as \(payload)"
                }
            }
        }
    }

    /// The place that a decoder's error tells, as a JSON Pointer.
    private static func place(of error: (any Error)?) -> String {
        let context: DecodingError.Context? =
            switch error as? DecodingError {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                context
            case .keyNotFound(let key, let context):
                .init(codingPath: context.codingPath + [key], debugDescription: "")
            default: nil
            }
        let path = context?.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue } ?? []
        return path.isEmpty ? "the top" : TerminalText.escape("/" + path.joined(separator: "/"))
    }

    private func register(
        _ type: String, _ version: UInt32, _ entry: SchemaTable.Entry
    ) async throws(EventLogError) {
        try Event(type: type).validate()
        try await self.change { table throws(EventLogError) in
            try table.add(entry, type: type, version: version)
        }
    }

    /// Sets what happens to events of a type that do not fit. Default: ``SchemaMode/enforce``.
    public func setMode(_ mode: SchemaMode, for type: String) async throws(EventLogError) {
        try Event(type: type).validate()
        try await self.change { table throws(EventLogError) in table.rules(of: type) { $0.mode = mode } }
    }

    /// Sets how the versions of a type must go together, from the next one on. Default:
    /// ``SchemaCompatibility/backward``.
    public func setCompatibility(
        _ compatibility: SchemaCompatibility, for type: String
    ) async throws(EventLogError) {
        try Event(type: type).validate()
        try await self.change { table throws(EventLogError) in
            table.rules(of: type) { $0.compatibility = compatibility }
        }
    }

    /// Everything that is registered, by type and version.
    public func registered() async throws(EventLogError) -> [RegisteredSchema] {
        let table = try await self.work { registry throws(EventLogError) in try registry.load().table }
        return table.all
    }

    /// Changes the table in the head; begins again if another process changed it meanwhile.
    private func change(
        _ body: @escaping @Sendable (inout SchemaTable) throws(EventLogError) -> [RecordChange]
    ) async throws(EventLogError) {
        try await self.work { registry throws(EventLogError) in
            while true {
                var (table, stamp) = try registry.load()
                let changes = try body(&table)
                if changes.isEmpty { return }
                let next = SchemaTable.stamp(after: stamp)
                let isDone = try registry.engine.change(
                    changes + [.set(.settings, key: SchemaTable.stampKey, value: next)], in: .settings,
                    ifStill: [(SchemaTable.stampKey, stamp)])
                if isDone { break }
            }
            _ = try registry.load()
        }
    }

    private func work<Value: Sendable>(
        _ body: @escaping @Sendable (SchemaRegistry) throws(EventLogError) -> Value
    ) async throws(EventLogError) -> Value {
        let result: Result<Value, EventLogError>
        do throws(StorageError) {
            result = try await self.engine.pool.run { () throws(StorageError) in
                do throws(EventLogError) {
                    return .success(try body(self))
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            throw EventLogError(error)
        }
        return try result.get()
    }

    /// Reads the table from the head and remembers it.
    @discardableResult
    private func load() throws(EventLogError) -> (table: SchemaTable, stamp: [UInt8]?) {
        let now = Self.now()
        let known = self.state.withLock { ($0.lookedAt == nil, $0.stamp, $0.table) }
        let engine = self.engine
        let (table, stamp) = try EventLogError.translating { () throws(StorageError) in
            try engine.readingRecords { view throws(StorageError) in
                let stamp = try view.record(.settings, key: SchemaTable.stampKey)
                if !known.0, stamp == known.1 { return (known.2, stamp) }
                return (try SchemaTable(view), stamp)
            }
        }
        self.state.withLock { state in
            // Another thread may have read a newer table meanwhile, even one that was registered here.
            guard SchemaTable.number(of: stamp) >= SchemaTable.number(of: state.stamp) else { return }
            (state.table, state.stamp, state.lookedAt) = (table, stamp, now)
        }
        return (table, stamp)
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    // MARK: Checking

    /// Refuses events that do not fit their schema, where it is enforced; answers which schemas those were.
    ///
    /// They may be some milliseconds old: a transaction that must not go by such looks whether the answer is still
    /// current there, and validates again after ``lookAgain()`` if it is not.
    ///
    /// - Parameter warns: whether what does not fit and is let through is logged; false for events that are
    ///   validated again when they are appended.
    @discardableResult
    func validate(_ records: [EventRecord], warns: Bool = true) throws(EventLogError) -> SchemaStamp {
        let (table, stamp) = try self.current()
        if table.isEmpty { return stamp }
        for record in records {
            let event = Event(record: record)
            guard let problem = self.problem(event, table) else { continue }
            let type = TerminalText.escape(event.type)
            let id = TerminalText.escape(event.id.description)
            let message =
                "The event \"\(type)\" (id \(id)) does not fit "
                + "version \(event.schemaVersion) of its schema: \(problem.message)"
            if problem.mode == .enforce { throw EventLogError(.schemaViolation, message) }
            guard warns else { continue }
            self.logger.warning(
                "\(message)",
                metadata: [
                    TelemetryNames.logEventType: .string(type), TelemetryNames.logEventID: .string(id),
                    TelemetryNames.logSchemaVersion: .stringConvertible(event.schemaVersion),
                ])
        }
        return stamp
    }

    /// Reads what another process may have registered just now.
    func lookAgain() throws(EventLogError) { try self.load() }

    /// The first place where the event is not what its schema demands, whatever the mode; nil if it fits or
    /// has none.
    public func violation(in event: Event) throws(EventLogError) -> String? {
        self.problem(event, try self.current().table, isModeIgnored: true)?.message
    }

    private func current() throws(EventLogError) -> (table: SchemaTable, stamp: SchemaStamp) {
        let now = Self.now()
        let (table, stamp, isFresh) = self.state.withLock { state in
            (state.table, state.stamp, Self.isFresh(lookedAt: state.lookedAt, now: now))
        }
        if isFresh { return (table, SchemaStamp(stamp)) }
        let loaded = try self.load()
        return (loaded.table, SchemaStamp(loaded.stamp))
    }

    /// Whether what was seen then is still good now. Another thread may have looked after this one read the
    /// clock, so `lookedAt` may be later than `now`.
    static func isFresh(lookedAt: UInt64?, now: UInt64) -> Bool {
        lookedAt.map { now < $0 + Self.staleNanoseconds } ?? false
    }

    private func problem(
        _ event: Event, _ table: SchemaTable, isModeIgnored: Bool = false
    ) -> (message: String, mode: SchemaMode)? {
        guard let type = table[event.type], !type.versions.isEmpty else { return nil }
        if type.rules.mode == .off, !isModeIgnored { return nil }
        let mode = type.rules.mode
        guard let entry = type.versions[event.schemaVersion] else {
            let known = type.versions.keys.sorted().map(String.init).joined(separator: ", ")
            return ("there is no such version; registered: \(known)", mode)
        }
        if let schema = entry.schema {
            return schema.violation(in: event.record.payload).map { ($0.description, mode) }
        }
        let key = SchemaTable.Key(type: event.type, version: event.schemaVersion)
        let decode = self.state.withLock { $0.decoders[key] }
        return decode?(event.payload).map { ($0, mode) }
    }
}
