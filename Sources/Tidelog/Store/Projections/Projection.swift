import TidelogStorage

/// A pure function of events into key-value state, kept in the log's head under a name.
///
/// ```swift
/// let sales = Projection("sales", of: .types("order.placed")) { stored, state in
///     let order = try stored.payload.decode(as: Order.self)
///     try state.add(order.total, to: "total/\(order.country)")
/// }
/// let running = try await log.start(sales)
/// let france = try await log.projection("sales").integer("total/FR")
/// ```
///
/// State and offset are committed in one transaction: whatever happens in between, each event counts exactly
/// once. So the function must depend on the event and the state alone: not on the time, not on chance, not on
/// anything outside; it may be called again for the same event, on the same state.
public struct Projection: Sendable {
    /// Its name: 1 to 64 bytes of UTF-8 without control characters.
    public let name: String
    /// Which function this is. Raise it when the function changes: the state is then built anew, beside the
    /// old one.
    public let version: UInt32
    /// The events that it is made of. Its order and limit do not count.
    public let query: EventQuery
    /// The most events of one transaction; a transaction also ends with some thousands of changed entries, with
    /// some megabytes, or after a second. Default: 1,048,576.
    public var batchEvents = 1_048_576

    typealias Apply = @Sendable (borrowing EventView, inout ProjectionState) throws -> Void
    typealias ApplyOwned = @Sendable (StoredEvent, inout ProjectionState) throws -> Void
    let apply: Apply
    /// The same for an event that is owned already, where the function wants it so.
    let applyOwned: ApplyOwned?

    /// A projection that gets owned events, brought up to date by `upcasters`.
    public init(
        _ name: String, version: UInt32 = 1, of query: EventQuery = .all, upcasters: Upcasters = .init(),
        _ apply: @escaping @Sendable (StoredEvent, inout ProjectionState) throws -> Void
    ) {
        var owned: ApplyOwned = apply
        if !upcasters.isEmpty {
            owned = { stored, state in try apply(try upcasters.apply(to: stored), &state) }
        }
        self.name = name
        self.version = version
        self.query = query
        self.apply = { [owned] view, state in try owned(try view.copy(), &state) }
        self.applyOwned = owned
    }

    /// A projection that is lent each event as it lies in its decompressed frame: the fastest way, as nothing
    /// is allocated for an event.
    public init(
        _ name: String, version: UInt32 = 1, viewing query: EventQuery,
        _ apply: @escaping @Sendable (borrowing EventView, inout ProjectionState) throws -> Void
    ) {
        self.name = name
        self.version = version
        self.query = query
        self.apply = apply
        self.applyOwned = nil
    }

    /// A projection of a domain's events; what the codec passes over, it passes over.
    public init<Change>(
        _ name: String, version: UInt32 = 1, of query: EventQuery = .all, codec: EventCodec<Change>,
        upcasters: Upcasters = .init(),
        _ apply: @escaping @Sendable (Change, StoredEvent, inout ProjectionState) throws -> Void
    ) {
        self.init(name, version: version, of: query, upcasters: upcasters) { stored, state in
            if let change = try codec.decode(stored) { try apply(change, stored, &state) }
        }
    }

    /// The query of a batch.
    func batchQuery() throws(EventLogError) -> EventQuery {
        var query = self.query
        query.order = .oldestFirst
        query.limit = nil
        _ = try query.storageQuery()
        return query
    }
}

/// A value of a projection's state.
public enum ProjectionValue: Hashable, Sendable {
    /// A whole number.
    case integer(Int64)
    /// Bytes that the app understands.
    case bytes([UInt8])
    /// JSON text.
    case json([UInt8])

    /// The number, if it is one.
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }

    /// The bytes, of whatever kind; nil for a number.
    public var bytes: [UInt8]? {
        switch self {
        case .integer: nil
        case .bytes(let bytes), .json(let bytes): bytes
        }
    }

    /// The value in JSON as a `Codable` type.
    ///
    /// - Throws: ``EventLogError`` with code `decodingFailed`.
    public func decode<Value: Decodable>(as type: Value.Type = Value.self) throws(EventLogError) -> Value {
        guard let bytes = self.bytes else {
            throw EventLogError(.decodingFailed, "the value is a number, and no \(type) in JSON")
        }
        return try EventPayload(bytes: bytes).decode(as: type)
    }

    var stored: [UInt8] {
        switch self {
        case .integer(let value):
            var writer = RecordWriter()
            writer.write(UInt8(1))
            writer.write(value)
            return writer.bytes
        case .bytes(let bytes): return [2] + bytes
        case .json(let bytes): return [3] + bytes
        }
    }

    init(stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "a value of a projection")
        switch try reader.read() as UInt8 {
        case 1: self = .integer(try reader.read())
        case 2: self = .bytes(reader.rest())
        case 3: self = .json(reader.rest())
        case let kind:
            throw StorageError(
                .unsupportedFormat,
                "a value of a projection is of kind \(kind), which this build does not know; use a newer one")
        }
    }
}
