// How process managers stand in the head: see Docs/Format.md, "Process managers".
//
//     processes  0, name                         how far it has read, and how often it has committed
//     processes  1, name, 0, instance            an instance: its state, what undoes it, its timers
//     timers     name, 0, due, instance, 0, timer    empty; sorted by when they are due
import TidelogStorage

/// How far a process manager has read.
struct ProcessProgress: Equatable {
    var next: UInt64 = 0
    /// Commits so far, so that no two states of the process have the same record.
    var commits: UInt64 = 0
    var failure: ProcessFailure?

    init() {}

    var stored: [UInt8] {
        var writer = RecordWriter()
        writer.write(UInt8(1))
        writer.write(self.next)
        writer.write(self.commits)
        guard let failure else {
            writer.write(UInt8(0))
            return writer.bytes
        }
        writer.write(UInt8(failure.code == nil ? 1 : 2))
        writer.write(failure.position?.rawValue ?? .max)
        writer.write(text: failure.instance)
        writer.write(text: failure.timer ?? "")
        writer.write(text: failure.message)
        guard let code = failure.code else { return writer.bytes }
        writer.write(text: code.description)
        writer.write(UInt8(failure.output == nil ? 0 : failure.output?.stream == nil ? 1 : 2))
        if let output = failure.output {
            writer.write(UInt32(clamping: output.index))
            writer.write(text: output.eventID.description)
            writer.write(text: output.type)
            if let stream = output.stream { writer.write(text: stream) }
        }
        return writer.bytes
    }

    init(stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "the progress of a process manager")
        try reader.requireVersion(1)
        self.next = try reader.read()
        self.commits = try reader.read()
        let kind = try reader.read() as UInt8
        guard kind > 0 else { return }
        let position = try reader.read() as UInt64
        let instance = try reader.readText()
        let timer = try reader.readText()
        let message = try reader.readText()
        let code = kind == 1 ? nil : EventLogError.Code(name: try reader.readText())
        self.failure = ProcessFailure(
            position: position == .max ? nil : Position(position), instance: instance,
            timer: timer.isEmpty ? nil : timer, code: code,
            output: kind == 1 ? nil : try Self.output(&reader), message: message)
    }

    private static func output(_ reader: inout RecordBytes) throws(StorageError) -> ProcessOutput? {
        let kind = try reader.read() as UInt8
        guard kind > 0 else { return nil }
        return ProcessOutput(
            index: Int(try reader.read() as UInt32), eventID: EventID(try reader.readText()),
            type: try reader.readText(), stream: kind == 1 ? nil : try reader.readText())
    }
}

/// The event that began an instance, and its correlation.
struct ProcessOrigin: Equatable {
    var event: EventID
    var correlation: EventID
}

/// One instance as it is stored.
struct ProcessInstance: Equatable {
    /// The state, in JSON.
    var state: [UInt8]
    /// The events that undo what was sent, as CloudEvents, in the order of what they undo.
    var undoing: [[UInt8]] = []
    /// When each timer is due.
    var timers: [(name: String, due: Int64)] = []
    /// What began it; nil if an older build stored it.
    var origin: ProcessOrigin?

    static func == (left: Self, right: Self) -> Bool { left.stored == right.stored }

    init(state: [UInt8]) {
        self.state = state
    }

    var stored: [UInt8] {
        var writer = RecordWriter()
        writer.write(UInt8(1))
        writer.write(field: self.state)
        writer.write(UInt32(self.undoing.count))
        for event in self.undoing { writer.write(field: event) }
        writer.write(UInt32(self.timers.count))
        for timer in self.timers {
            writer.write(text: timer.name)
            writer.write(timer.due)
        }
        if let origin {
            writer.write(UInt8(1))
            writer.write(text: origin.event.description)
            writer.write(text: origin.correlation.description)
        }
        return writer.bytes
    }

    init(stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "an instance of a process")
        try reader.requireVersion(1)
        self.state = try reader.readField()
        for _ in 0..<(try reader.read() as UInt32) { self.undoing.append(try reader.readField()) }
        for _ in 0..<(try reader.read() as UInt32) {
            self.timers.append((try reader.readText(), try reader.read()))
        }
        // An older build wrote no more.
        if reader.isAtEnd { return }
        let kind = try reader.read() as UInt8
        guard kind == 1 else { return }
        self.origin = ProcessOrigin(
            event: EventID(try reader.readText()), correlation: EventID(try reader.readText()))
    }
}

enum ProcessKeys {
    static func progress(_ name: String) -> [UInt8] { [0] + Array(name.utf8) }
    static func instances(_ name: String) -> [UInt8] { [1] + Array(name.utf8) + [0] }
    static func timers(_ name: String) -> [UInt8] { Array(name.utf8) + [0] }

    static func timer(_ name: String, due: Int64, _ instance: String, _ timer: String) -> [UInt8] {
        // The sign bit turned round, so that moments sort as bytes do.
        let bits = UInt64(bitPattern: due) ^ 1 << 63
        let due = withUnsafeBytes(of: bits.bigEndian) { [UInt8]($0) }
        return self.timers(name) + due + Array(instance.utf8) + [0] + Array(timer.utf8)
    }

    /// Takes the key of a timer apart, its process left aside.
    static func parse(_ key: ArraySlice<UInt8>) -> (due: Int64, instance: String, timer: String)? {
        guard key.count > 9, let end = key.dropFirst(8).firstIndex(of: 0) else { return nil }
        let bits = key.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return (
            Int64(bitPattern: bits ^ 1 << 63),
            String(decoding: key[(key.startIndex + 8)..<end], as: UTF8.self),
            String(decoding: key[(end + 1)...], as: UTF8.self)
        )
    }

    static func check(instance: String) throws(EventLogError) {
        guard (1...200).contains(instance.utf8.count), !NameRules.hasControlCharacter(instance) else {
            throw EventLogError(
                .invalidArgument,
                "the correlation of a process's event has 1 to 200 bytes of UTF-8 and no control characters")
        }
    }

    static func check(timer: String) throws(EventLogError) {
        guard (1...64).contains(timer.utf8.count), !NameRules.hasControlCharacter(timer) else {
            throw EventLogError(
                .invalidArgument,
                "the name of a timer has 1 to 64 bytes of UTF-8 and no control characters")
        }
    }
}

extension RecordView {
    func processProgress(_ name: String) throws(StorageError) -> ProcessProgress? {
        guard let bytes = try self.record(.processes, key: ProcessKeys.progress(name)) else { return nil }
        return try ProcessProgress(stored: bytes)
    }
}
