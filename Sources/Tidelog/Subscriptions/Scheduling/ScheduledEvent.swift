import TidelogStorage

/// An event that will be appended at a time; until then it has no position, and nobody sees it.
public struct ScheduledEvent: Sendable, Hashable {
    enum Due: Hashable { case at(Timestamp), after(Duration) }

    /// The event, with the stream that it will go to.
    public let event: Event
    /// When it is to be appended, by the wall clock.
    public let time: Timestamp
    /// Why it could not be appended when it was due; nil while it is to come.
    public let problem: String?
    /// Nanoseconds that it was to wait, if it was scheduled so: then the wall clock does not matter until the
    /// machine starts anew.
    let delay: UInt64?
    /// In the boot's nanoseconds, where there is a delay.
    let monotonicDue: UInt64
    let boot: UInt64
    /// Tells apart two of one time.
    let serial: UInt64

    /// An event that `log` would accept now.
    init(_ event: Event, _ stream: String?, _ due: Due, for log: EventLog) throws(EventLogError) {
        var event = event
        if let stream { event.stream = stream }
        // What schemas warn of is logged when it is appended.
        try log.validate([event], warns: false)
        self.event = event
        self.problem = nil
        self.boot = BootClock.boot
        self.serial = UInt64.random(in: 0 ... .max)
        switch due {
        case .at(let time): (self.time, self.delay, self.monotonicDue) = (time, nil, 0)
        case .after(let delay):
            guard delay >= .zero else {
                throw EventLogError(.invalidArgument, "an event cannot be scheduled \(delay) from now")
            }
            let nanoseconds = delay.wholeNanoseconds
            self.delay = nanoseconds
            self.monotonicDue = BootClock.now + nanoseconds
            self.time = Timestamp(
                nanosecondsSinceEpoch: currentNanoseconds() &+ Int64(clamping: nanoseconds))
        }
    }

    private init(
        event: Event, time: Timestamp, problem: String?, delay: UInt64?, monotonicDue: UInt64, boot: UInt64,
        serial: UInt64
    ) {
        self.event = event
        self.time = time
        self.problem = problem
        self.delay = delay
        self.monotonicDue = monotonicDue
        self.boot = boot
        self.serial = serial
    }

    /// The same, to wait what is left of its delay from now on: the machine has started anew.
    func carriedOver(_ moment: Moment) -> ScheduledEvent {
        let left = min(
            UInt64(max(0, self.time.nanosecondsSinceEpoch &- moment.wall)), self.delay ?? 0)
        return ScheduledEvent(
            event: self.event, time: self.time, problem: nil, delay: self.delay,
            monotonicDue: moment.monotonic + left, boot: moment.boot, serial: self.serial)
    }

    func failed(_ problem: String) -> ScheduledEvent {
        ScheduledEvent(
            event: self.event, time: self.time, problem: problem, delay: self.delay,
            monotonicDue: self.monotonicDue, boot: self.boot, serial: self.serial)
    }

    // MARK: Records, in the space `timers` (see Docs/Format.md, "Scheduled events")

    /// By the wall clock, by the boot's clock, and those that could not be appended.
    static let families: [UInt8] = [UInt8(ascii: "T"), UInt8(ascii: "D"), UInt8(ascii: "F")]

    var key: [UInt8] {
        var key: [UInt8]
        let due: UInt64
        if self.problem != nil {
            key = [UInt8(ascii: "F")]
            due = UInt64(bitPattern: self.time.nanosecondsSinceEpoch) ^ 1 << 63
        } else if self.delay != nil {
            key = [UInt8(ascii: "D")]
            due = self.monotonicDue
        } else {
            key = [UInt8(ascii: "T")]
            due = UInt64(bitPattern: self.time.nanosecondsSinceEpoch) ^ 1 << 63
        }
        withUnsafeBytes(of: due.bigEndian) { key.append(contentsOf: $0) }
        withUnsafeBytes(of: self.serial.bigEndian) { key.append(contentsOf: $0) }
        return key
    }

    private static func idKey(_ id: EventID) -> [UInt8] { [UInt8(ascii: "I")] + Array(id.description.utf8) }

    /// Writes it; replaces an earlier one with the same event id.
    func write(in transaction: borrowing HeadTransaction) throws(StorageError) {
        _ = try Self.remove(id: self.event.id, in: transaction)
        try transaction.setRecord(.timers, key: self.key, value: self.encoded())
        try transaction.setRecord(.timers, key: Self.idKey(self.event.id), value: self.key)
    }

    /// Removes the one with this event id; answers whether there was one.
    static func remove(
        id: EventID, in transaction: borrowing HeadTransaction
    ) throws(StorageError) -> Bool {
        guard let key = try transaction.record(.timers, key: self.idKey(id)) else { return false }
        try transaction.removeRecord(.timers, key: key)
        try transaction.removeRecord(.timers, key: self.idKey(id))
        return true
    }

    /// Whether it is still as it was read.
    func isThere(in transaction: borrowing HeadTransaction) throws(StorageError) -> Bool {
        try transaction.record(.timers, key: self.key) != nil
    }

    /// The changes that take it out.
    var removal: [RecordChange] {
        [.remove(.timers, key: self.key), .remove(.timers, key: Self.idKey(self.event.id))]
    }

    /// The changes that put it in.
    var entries: [RecordChange] {
        [
            .set(.timers, key: self.key, value: self.encoded()),
            .set(.timers, key: Self.idKey(self.event.id), value: self.key),
        ]
    }

    func encoded() -> [UInt8] {
        let record = self.event.record
        var writer = FieldWriter()
        writer.byte(1)
        writer.fixed(self.time.nanosecondsSinceEpoch)
        writer.byte(self.delay == nil ? 0 : 1)
        writer.varint(self.delay ?? 0)
        writer.fixed(self.monotonicDue)
        writer.fixed(self.boot)
        writer.fixed(self.serial)
        writer.optionalText(self.problem)
        writer.text(self.event.id.description)
        writer.text(record.type)
        writer.optionalText(record.stream)
        writer.fixed(record.timestamp)
        writer.optionalText(record.source)
        writer.optionalText(record.contentType)
        writer.optionalText(record.tenant)
        writer.optionalText(record.correlation.map { EventID($0).description })
        writer.optionalText(record.causation.map { EventID($0).description })
        writer.varint(UInt64(record.schemaVersion))
        writer.data(record.metadata)
        writer.data(record.payload)
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(StorageError) -> ScheduledEvent {
        var reader = FieldReader(bytes, what: "a scheduled event")
        guard try reader.byte() == 1 else { throw reader.damage() }
        let time = Timestamp(nanosecondsSinceEpoch: try reader.fixed())
        let hasDelay = try reader.byte() != 0
        let delay = try reader.varint()
        let monotonicDue: UInt64 = try reader.fixed()
        let boot: UInt64 = try reader.fixed()
        let serial: UInt64 = try reader.fixed()
        let problem = try reader.optionalText()
        let record = EventRecord(
            id: EventID(try reader.text()).identifier, type: try reader.text(),
            stream: try reader.optionalText(), timestamp: try reader.fixed(),
            source: try reader.optionalText(), contentType: try reader.optionalText(),
            tenant: try reader.optionalText(),
            correlation: try reader.optionalText().map { EventID($0).identifier },
            causation: try reader.optionalText().map { EventID($0).identifier },
            schemaVersion: UInt32(clamping: try reader.varint()), metadata: try reader.data(),
            payload: try reader.data())
        return ScheduledEvent(
            event: Event(record: record), time: time, problem: problem, delay: hasDelay ? delay : nil,
            monotonicDue: monotonicDue, boot: boot, serial: serial)
    }
}

extension FieldWriter {
    mutating func data(_ bytes: ArraySlice<UInt8>) {
        self.varint(bytes.count)
        for byte in bytes { self.byte(byte) }
    }
}

extension FieldReader {
    mutating func data() throws(StorageError) -> ArraySlice<UInt8> {
        let count = try self.count()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for _ in 0..<count { bytes.append(try self.byte()) }
        return bytes[...]
    }
}
