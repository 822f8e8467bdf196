/// Pure functions that turn events of older schema versions into those of today when they are read.
///
/// The stored bytes never change: what an upcaster makes exists in memory alone.
///
/// ```swift
/// var upcasters = Upcasters()
/// // Version 1 had one name, version 2 has two.
/// upcasters.add("user.registered", from: 1) { event in
///     let old = try event.payload.decode(as: RegisteredV1.self)
///     return try event.withPayload(RegisteredV2(first: old.name, last: "")).withSchemaVersion(2)
/// }
/// ```
public struct Upcasters: Sendable {
    /// What makes an event of the next version out of one of an older version.
    public typealias Step = @Sendable (Event) throws -> Event

    private struct Key: Hashable {
        var type: String
        var version: UInt32
    }

    private var steps: [Key: Step] = [:]

    /// None: events are taken as they are stored.
    public init() {}

    /// Adds the step from one version of a type. The step's event has a higher version, or another type.
    ///
    /// Steps are chained: an event of version 1 passes those from 1, from 2, and so on.
    public mutating func add(_ type: String, from version: UInt32, _ step: @escaping Step) {
        self.steps[Key(type: type, version: version)] = step
    }

    /// Adds the step to the next version of a type whose payloads are JSON of two `Codable` types.
    public mutating func add<Old: Decodable & Sendable, New: Encodable & Sendable>(
        _ type: String, from version: UInt32, as: Old.Type = Old.self, to: New.Type = New.self,
        _ migrate: @escaping @Sendable (Old) throws -> New
    ) {
        self.add(type, from: version) { event in
            var event = event
            event.payload = try EventPayload(encoding: try migrate(try event.payload.decode(as: Old.self)))
            event.schemaVersion = version + 1
            return event
        }
    }

    /// Whether there is nothing to do for any event.
    public var isEmpty: Bool { self.steps.isEmpty }

    /// The event as of today's schema versions; itself if no step is for it.
    ///
    /// - Throws: ``EventLogError`` with code `decodingFailed` that tells the event's place, with what a step
    ///   threw as its cause, or if a step does not lead to a higher version.
    public func apply(to stored: StoredEvent) throws(EventLogError) -> StoredEvent {
        if self.steps.isEmpty { return stored }
        guard var step = self.steps[Key(type: stored.type, version: stored.placed.record.schemaVersion)]
        else {
            return stored
        }
        var result = stored
        var seen: Set<Key> = []
        while true {
            let event = result.event
            let key = Key(type: event.type, version: event.schemaVersion)
            guard seen.insert(key).inserted else {
                throw Self.failure(stored, "upcasters of '\(key.type)' from version \(key.version) go round")
            }
            do {
                result.placed.record = try step(event).record
            } catch {
                throw Self.failure(
                    stored, "the upcaster of '\(key.type)' from version \(key.version) failed: \(error)",
                    error)
            }
            let next = Key(type: result.type, version: result.placed.record.schemaVersion)
            guard let following = self.steps[next] else { return result }
            step = following
        }
    }

    private static func failure(
        _ stored: StoredEvent, _ message: String, _ cause: (any Error)? = nil
    ) -> EventLogError {
        EventLogError(
            .decodingFailed, message, cause: cause,
            positions: stored.position..<Position(stored.position.rawValue + 1))
    }
}

extension Event {
    /// A copy with `value` as its payload, in JSON.
    public func withPayload(_ value: some Encodable) throws(EventLogError) -> Event {
        var copy = self
        copy.payload = try EventPayload(encoding: value)
        return copy
    }
}
