/// The columns of a frame that is being made, before they are packed.
///
/// It stands behind a pointer in ``FrameEncoder``, which keeps checks for exclusive access out of the loops.
struct EncoderState: ~Copyable {
    var types = TextInterner()
    var streams = TextInterner()
    var sources = TextInterner()
    var contentTypes = TextInterner()
    var tenants = TextInterner()
    var correlations = IdentifierInterner()
    var causations = IdentifierInterner()
    var ids = IdentifierList()
    /// Finds an event of the frame by its id; filled when the frame is finished.
    var idTable = SlotTable()
    var idHashes = Numbers<UInt64>()
    var timestamps = Numbers<Int64>()
    var schemaVersions = Numbers<UInt32>()
    var metadataLengths = Numbers<UInt32>()
    var payloadLengths = Numbers<UInt32>()
    /// Metadata and payloads. They are a memory of their own, since an assistant may compress them on another
    /// thread while the rest is changed on this one.
    let bodies: UnsafeMutablePointer<BodyState>
    /// For placed events their positions.
    var positions = Numbers<UInt64>()
    /// For placed events their revisions; 0 for one without a stream.
    var revisions = Numbers<UInt64>()
    /// Room for what the summary says event by event.
    var typeCodes = Numbers<UInt16>()
    var correlationHashes = Numbers<UInt64>()
    var packer = ColumnPacker()

    /// For how many events there is room in the columns of fixed width.
    var rowCapacity = 0

    init() {
        self.bodies = .allocate(capacity: 1)
        self.bodies.initialize(to: BodyState())
    }

    deinit {
        self.bodies.deinitialize(count: 1)
        self.bodies.deallocate()
    }

    var count: Int { self.timestamps.count }

    /// The bytes of metadata and payloads.
    var bodyBytes: Int { self.bodies.pointee.bytes }

    /// Adds one event. It is read where it stands: a copy would count references of every field.
    ///
    /// - Throws: ``StorageError`` with code `invalidArgument` or `limitExceeded`; nothing was added then.
    mutating func append(_ record: UnsafePointer<EventRecord>) throws(StorageError) {
        try self.check(record)
        if self.count == self.rowCapacity { self.reserveRows() }
        self.appendBody(record)
        self.appendEnvelope(record)
    }

    /// Adds metadata and payload, for which there is room.
    @inline(__always)
    mutating func appendBody(_ record: UnsafePointer<EventRecord>) {
        self.metadataLengths.push(UInt32(truncatingIfNeeded: record.pointee.metadata.count))
        self.payloadLengths.push(UInt32(truncatingIfNeeded: record.pointee.payload.count))
        let bodies = self.bodies
        record.pointee.metadata.withUnsafeBytes { bodies.pointee.metadata.append($0) }
        record.pointee.payload.withUnsafeBytes { bodies.pointee.payloads.append($0) }
    }

    /// Adds all but metadata and payload.
    @inline(__always)
    mutating func appendEnvelope(_ record: UnsafePointer<EventRecord>) {
        let event = UInt32(truncatingIfNeeded: self.count)
        self.types.codes.push(self.types.intern(record.pointee.type))
        self.streams.codes.push(self.streams.intern(record.pointee.stream))
        self.sources.codes.push(self.sources.intern(record.pointee.source))
        self.contentTypes.codes.push(self.contentTypes.intern(record.pointee.contentType))
        self.tenants.codes.push(self.tenants.intern(record.pointee.tenant))
        self.ids.append(record.pointee.id)
        self.idHashes.push(record.pointee.id.hash64)
        self.correlations.codes.push(self.correlations.intern(record.pointee.correlation, event: event))
        self.causations.codes.push(self.causations.intern(record.pointee.causation, event: event))
        self.timestamps.push(record.pointee.timestamp)
        self.schemaVersions.push(record.pointee.schemaVersion)
    }

    /// Makes room for further events in the columns of fixed width.
    @inline(never)
    mutating func reserveRows() {
        let capacity = max(256, self.rowCapacity &* 2)
        self.types.codes.reserve(capacity)
        self.streams.codes.reserve(capacity)
        self.sources.codes.reserve(capacity)
        self.contentTypes.codes.reserve(capacity)
        self.tenants.codes.reserve(capacity)
        self.correlations.codes.reserve(capacity)
        self.causations.codes.reserve(capacity)
        self.idHashes.reserve(capacity)
        self.timestamps.reserve(capacity)
        self.schemaVersions.reserve(capacity)
        self.metadataLengths.reserve(capacity)
        self.payloadLengths.reserve(capacity)
        self.rowCapacity = capacity
    }

    /// Refuses names and ids that no frame takes.
    @inline(__always)
    static func checkNames(_ record: UnsafePointer<EventRecord>) throws(StorageError) {
        let limit = FrameFormat.maximumNameBytes
        let type = record.pointee.type.utf8.count
        if type == 0 || type > limit { throw Self.invalidName("type", type) }
        if let stream = record.pointee.stream, stream.utf8.count > limit {
            throw Self.invalidName("stream", stream.utf8.count)
        }
        if let source = record.pointee.source, source.utf8.count > limit {
            throw Self.invalidName("source", source.utf8.count)
        }
        if let contentType = record.pointee.contentType, contentType.utf8.count > limit {
            throw Self.invalidName("content type", contentType.utf8.count)
        }
        if let tenant = record.pointee.tenant, tenant.utf8.count > limit {
            throw Self.invalidName("tenant", tenant.utf8.count)
        }
        if case .text(let text) = record.pointee.id { try Self.check(text, "id") }
        if case .text(let text)? = record.pointee.correlation { try Self.check(text, "correlation id") }
        if case .text(let text)? = record.pointee.causation { try Self.check(text, "causation id") }
    }

    @inline(__always)
    private func check(_ record: UnsafePointer<EventRecord>) throws(StorageError) {
        try Self.checkNames(record)
        let bytes = self.bodyBytes + record.pointee.metadata.count + record.pointee.payload.count
        if bytes > FrameFormat.maximumBodyBytes { throw Self.tooManyBytes() }
        if self.count >= FrameFormat.maximumEvents { throw Self.tooManyEvents() }
        try self.checkTypes()
    }

    @inline(__always)
    func checkTypes() throws(StorageError) {
        if self.types.distinctCount >= FrameFormat.maximumTypes {
            throw StorageError(
                .limitExceeded,
                "a frame takes fewer than \(FrameFormat.maximumTypes) distinct types; append fewer at once")
        }
    }

    static func tooManyBytes() -> StorageError {
        StorageError(
            .limitExceeded,
            "metadata and payloads of one frame would exceed \(FrameFormat.maximumBodyBytes) bytes; "
                + "append fewer or smaller events at once")
    }

    static func tooManyEvents() -> StorageError {
        StorageError(
            .limitExceeded,
            "a frame takes at most \(FrameFormat.maximumEvents) events; append fewer at once")
    }

    private static func check(_ text: String, _ name: String) throws(StorageError) {
        let count = text.utf8.count
        if count == 0 || count > FrameFormat.maximumNameBytes { throw Self.invalidName(name, count) }
    }

    @inline(never)
    private static func invalidName(_ name: String, _ count: Int) -> StorageError {
        if count == 0 { return StorageError(.invalidArgument, "an event's \(name) is empty; give it one") }
        return StorageError(
            .limitExceeded,
            "an event's \(name) has \(count) bytes of UTF-8, and \(FrameFormat.maximumNameBytes) are allowed")
    }

    /// Forgets all events and keeps memory of an ordinary size.
    mutating func reset() {
        self.types.reset()
        self.streams.reset()
        self.sources.reset()
        self.contentTypes.reset()
        self.tenants.reset()
        self.correlations.reset()
        self.causations.reset()
        self.ids.reset()
        self.idTable.reset()
        self.idHashes.clear(keeping: 1 << 16)
        self.timestamps.clear(keeping: 1 << 16)
        self.schemaVersions.clear(keeping: 1 << 16)
        self.metadataLengths.clear(keeping: 1 << 16)
        self.payloadLengths.clear(keeping: 1 << 16)
        self.positions.clear(keeping: 1 << 16)
        self.revisions.clear(keeping: 1 << 16)
        self.bodies.pointee.reset()
        self.typeCodes.clear(keeping: 1 << 16)
        self.correlationHashes.clear(keeping: 1 << 16)
        self.packer.reset()
        self.rowCapacity = min(self.rowCapacity, 1 << 16)
    }
}

/// The metadata and payloads of a frame that is being made, and the groups they are packed into.
struct BodyState: ~Copyable {
    /// The metadata of the events, one after the other.
    var metadata = Numbers<UInt8>(capacity: 1 << 10)
    /// The payloads of the events, one after the other.
    var payloads = Numbers<UInt8>(capacity: 1 << 12)
    /// The groups as they will stand.
    var output = Numbers<UInt8>(capacity: 1 << 12)
    /// Room for putting the payloads in the order of their groups.
    var regrouped = Numbers<UInt8>()

    /// The bytes of metadata and payloads.
    var bytes: Int { self.metadata.count + self.payloads.count }

    /// Forgets all and keeps memory of an ordinary size.
    mutating func reset() {
        self.metadata.clear(keeping: 1 << 20)
        self.payloads.clear(keeping: 1 << 20)
        self.output.clear(keeping: 1 << 20)
        self.regrouped.clear(keeping: 1 << 20)
    }
}
