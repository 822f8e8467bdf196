import TidelogStorage

/// Where a consumer begins when it is created, or where it is moved to.
public struct ConsumerStart: Hashable, Sendable {
    enum Kind: Hashable { case beginning, end, position(Position), time(Timestamp) }
    let kind: Kind

    /// With the oldest event that there is.
    public static var beginning: Self { .init(kind: .beginning) }
    /// With the first event appended from now on.
    public static var end: Self { .init(kind: .end) }
    /// With the event at this position, or the next one that there is.
    public static func position(_ position: Position) -> Self { .init(kind: .position(position)) }
    /// With the first event whose timestamp is this moment or later.
    public static func time(_ time: Timestamp) -> Self { .init(kind: .time(time)) }
}

/// What a consumer receives and how. It is kept in the log, save for the functions in it.
///
/// ```swift
/// var settings = ConsumerSettings()
/// settings.filter = .types("order.*")
/// settings.retry = .exponential(maximumDeliveries: 8)
/// ```
public struct ConsumerSettings: Sendable {
    /// Which events it receives. Its positions, order and limit must be unset. Default: all.
    public var filter = EventQuery.all
    /// Where it begins when it is created; later it goes on where it was. Default: `.beginning`.
    public var start = ConsumerStart.beginning
    /// Which events must be handled one after the other. Default: `.perStream`.
    public var ordering = EventOrdering.perStream
    /// When a failed delivery is tried again. Default: see ``RetryPolicy``.
    public var retry = RetryPolicy()
    /// How long a delivery may be in a handler's hands, and how long a process that does nothing any more
    /// keeps its deliveries. Default: 30 s.
    public var leaseDuration: Duration = .seconds(30)
    /// The most events that one process holds unfinished. Default: 8,192.
    public var maximumInFlight = 8192
    /// The most events that one process fetches ahead of its handlers; as many again are read, and dropped if they
    /// are not asked for within a second. Where several processes take part, none fetches more than its part of what
    /// there is. Default: 4,096.
    public var prefetch = 4096
    /// How long an acknowledgement may wait for others to be committed with. Default: 5 ms.
    public var acknowledgeWithin: Duration = .milliseconds(5)
    /// The most events that wait for a retry, or for an earlier one of their key. Beyond it no new ones are
    /// delivered until some are done. Default: 10,000.
    public var maximumWaiting = 10_000
    /// The most dead letters. Beyond it an event that would become one is tried on, after a second at the least each
    /// time, which the log's logger and ``ConsumerStatus/lastError`` tell; and parking one is an error.
    /// Default: 100,000.
    public var maximumDeadLetters = 100_000
    /// Whether retention keeps what the consumer has not finished. Default: `true`.
    public var holdsRetention = true
    /// Whether the consumer goes on with the oldest event there is when retention has dropped some that it
    /// had not finished, instead of ending with `eventsGone`. Default: `false`.
    public var skipsMissingEvents = false

    /// The defaults.
    public init() {}

    var leaseNanoseconds: UInt64 { self.leaseDuration.wholeNanoseconds }

    func validate() throws(EventLogError) {
        if self.filter.from != nil || self.filter.to != nil || self.filter.limit != nil
            || self.filter.order != .oldestFirst || self.filter.fromRevision != nil
            || self.filter.toRevision != nil
        {
            throw Self.invalid(
                "a consumer's filter has no positions, revisions, order or limit; set 'start' instead")
        }
        _ = try self.filter.storageQuery()
        if let fault = self.retry.fault() { throw Self.invalid(fault) }
        try Self.require("maximumInFlight", self.maximumInFlight, 1...1_000_000)
        try Self.require("prefetch", self.prefetch, 1...1_000_000)
        try Self.require("maximumWaiting", self.maximumWaiting, 1...10_000_000)
        try Self.require("maximumDeadLetters", self.maximumDeadLetters, 0...100_000_000)
        guard self.leaseDuration >= .milliseconds(10), self.leaseDuration <= .seconds(7 * 86_400) else {
            throw Self.invalid("the setting leaseDuration must lie between 10 ms and 7 days")
        }
        guard self.acknowledgeWithin >= .zero, self.acknowledgeWithin <= self.leaseDuration else {
            throw Self.invalid("the setting acknowledgeWithin must lie between 0 and leaseDuration")
        }
    }

    private static func require(
        _ name: String, _ value: Int, _ bounds: ClosedRange<Int>
    ) throws(EventLogError) {
        guard !bounds.contains(value) else { return }
        throw self.invalid(
            "the setting \(name) is \(value); it must lie between \(bounds.lowerBound) and "
                + "\(bounds.upperBound)")
    }

    private static func invalid(_ message: String) -> EventLogError {
        EventLogError(.invalidArgument, message)
    }
}

// MARK: As a record

extension ConsumerSettings {
    func encode(into writer: inout FieldWriter) {
        self.encodeFilter(into: &writer)
        writer.byte(self.ordering.kind.rawValue)
        writer.text(self.ordering.name)
        writer.varint(self.retry.initialDelay.wholeNanoseconds)
        writer.fixed(self.retry.factor.bitPattern)
        writer.varint(self.retry.maximumDelay.wholeNanoseconds)
        writer.fixed(self.retry.jitter.bitPattern)
        writer.varint(self.retry.maximumDeliveries ?? 0)
        writer.varint(self.leaseNanoseconds)
        writer.varint(self.maximumInFlight)
        writer.varint(self.prefetch)
        writer.varint(self.acknowledgeWithin.wholeNanoseconds)
        writer.varint(self.maximumWaiting)
        writer.varint(self.maximumDeadLetters)
        writer.byte((self.holdsRetention ? 1 : 0) | (self.skipsMissingEvents ? 2 : 0))
    }

    private func encodeFilter(into writer: inout FieldWriter) {
        writer.varint(self.filter.streams.count)
        for stream in self.filter.streams { writer.text(stream) }
        writer.varint(self.filter.types.count)
        for type in self.filter.types { writer.text(type.description) }
        writer.optionalText(self.filter.streamPrefix)
        writer.optionalText(self.filter.correlationID?.description)
        writer.optionalText(self.filter.causationID?.description)
        writer.optionalText(self.filter.source)
        writer.optionalText(self.filter.tenantID)
        for time in [self.filter.since, self.filter.until] {
            writer.byte(time == nil ? 0 : 1)
            if let time { writer.fixed(time.nanosecondsSinceEpoch) }
        }
    }

    init(from reader: inout FieldReader) throws(StorageError) {
        try self.decodeFilter(&reader)
        guard let kind = EventOrdering.Kind(rawValue: try reader.byte()) else { throw reader.damage() }
        self.ordering = EventOrdering(kind: kind, name: try reader.text(), function: nil)
        self.retry.initialDelay = .nanoseconds(Int64(clamping: try reader.varint()))
        self.retry.factor = Double(bitPattern: try reader.fixed())
        self.retry.maximumDelay = .nanoseconds(Int64(clamping: try reader.varint()))
        self.retry.jitter = Double(bitPattern: try reader.fixed())
        let deliveries = try reader.int()
        self.retry.maximumDeliveries = deliveries == 0 ? nil : deliveries
        self.leaseDuration = .nanoseconds(Int64(clamping: try reader.varint()))
        self.maximumInFlight = try reader.int()
        self.prefetch = try reader.int()
        self.acknowledgeWithin = .nanoseconds(Int64(clamping: try reader.varint()))
        self.maximumWaiting = try reader.int()
        self.maximumDeadLetters = try reader.int()
        let flags = try reader.byte()
        self.holdsRetention = flags & 1 != 0
        self.skipsMissingEvents = flags & 2 != 0
    }

    private mutating func decodeFilter(_ reader: inout FieldReader) throws(StorageError) {
        for _ in 0..<(try reader.count()) { self.filter.streams.append(try reader.text()) }
        for _ in 0..<(try reader.count()) {
            guard let pattern = try? TypePattern(try reader.text()) else { throw reader.damage() }
            self.filter.types.append(pattern)
        }
        self.filter.streamPrefix = try reader.optionalText()
        self.filter.correlationID = try reader.optionalText().map { EventID($0) }
        self.filter.causationID = try reader.optionalText().map { EventID($0) }
        self.filter.source = try reader.optionalText()
        self.filter.tenantID = try reader.optionalText()
        if try reader.byte() != 0 { self.filter.since = Timestamp(nanosecondsSinceEpoch: try reader.fixed()) }
        if try reader.byte() != 0 { self.filter.until = Timestamp(nanosecondsSinceEpoch: try reader.fixed()) }
    }
}
