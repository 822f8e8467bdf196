import TidelogStorage

/// What a batch of events and timers leads to.
struct ProcessBatch {
    private struct Entry {
        var before: ProcessInstance?
        var now: ProcessInstance?
    }

    private let log: EventLog
    private let name: String
    private var entries: [ExactText: Entry] = [:]
    /// The events and timers of which the batch has what they led to.
    private(set) var inputs: [ProcessInput] = []
    private(set) var sent: [Event] = []
    private(set) var bytes = 0

    init(_ log: EventLog, name: String) {
        self.log = log
        self.name = name
    }

    /// An instance, with what the batch has made of it so far.
    mutating func instance(_ instance: String) throws(EventLogError) -> ProcessInstance? {
        let exact = ExactText(instance)
        if let entry = self.entries[exact] { return entry.now }
        let key = ProcessKeys.instances(self.name) + Array(instance.utf8)
        let stored = try EventLogError.translating { () throws(StorageError) in
            try self.log.engine.record(.processes, key: key).map { bytes throws(StorageError) in
                try ProcessInstance(stored: bytes)
            }
        }
        self.entries[exact] = Entry(before: stored, now: stored)
        return stored
    }

    /// Adds what an event or a timer leads to.
    mutating func add(
        _ input: ProcessInput, from before: ProcessInstance?, to now: ProcessInstance?,
        sending events: [Event]
    ) {
        self.entries[ExactText(input.instance), default: Entry(before: before)].now = now
        self.inputs.append(input)
        self.sent += events
        self.bytes += (now?.state.count ?? 0) + 64
        self.bytes += events.reduce(0) { $0 + $1.record.payload.count + $1.record.metadata.count + 128 }
    }

    /// Takes a timer away, as it fires.
    mutating func take(_ timer: String, of instance: String) {
        self.entries[ExactText(instance)]?.now?.timers.removeAll { $0.name.isExactly(timer) }
    }

    /// Puts back a timer that the process stops at.
    mutating func restore(_ instance: String, _ timer: String, due: Int64) {
        self.entries[ExactText(instance)]?.now?.timers.append((timer, due))
    }

    func changes() -> [RecordChange] {
        var changes: [RecordChange] = []
        for (exact, entry) in self.entries {
            let key = ProcessKeys.instances(self.name) + Array(exact.text.utf8)
            for timer in entry.before?.timers ?? [] {
                changes.append(
                    .remove(
                        .processTimers,
                        key: ProcessKeys.timer(self.name, due: timer.due, exact.text, timer.name)))
            }
            for timer in entry.now?.timers ?? [] {
                changes.append(
                    .set(
                        .processTimers,
                        key: ProcessKeys.timer(self.name, due: timer.due, exact.text, timer.name),
                        value: []))
            }
            if let now = entry.now {
                changes.append(.set(.processes, key: key, value: now.stored))
            } else if entry.before != nil {
                changes.append(.remove(.processes, key: key))
            }
        }
        return changes
    }
}
