// How projections stand in the head: see Docs/Format.md, "Projections".
//
//     0, name                        control: which generation is live, which one is being built
//     1, name, 0, generation         how far the generation is
//     2, name, 0, generation, key    a value of its state
//     3, name                        note: the session that rebuilds it, or removes old generations
//
// A generation is one build of the state, from the first event on; numbers are big-endian, so that keys sort.
import TidelogStorage

/// Which generations of a projection there are.
struct ProjectionControl: Equatable {
    /// The one that is asked; 0 before the first is complete.
    var live: UInt32
    /// The one that is being built beside it; 0 for none.
    var building: UInt32
    /// The highest number that was ever used.
    var highest: UInt32

    var stored: [UInt8] {
        var writer = RecordWriter()
        writer.write(UInt8(1))
        writer.write(self.live)
        writer.write(self.building)
        writer.write(self.highest)
        return writer.bytes
    }

    init(live: UInt32, building: UInt32, highest: UInt32) {
        self.live = live
        self.building = building
        self.highest = highest
    }

    init(stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "the control record of a projection")
        try reader.requireVersion(1)
        self.live = try reader.read()
        self.building = try reader.read()
        self.highest = try reader.read()
    }
}

/// Which session is to remove what would otherwise be left of a projection: see `ProjectionGenerations`.
struct ProjectionNote: Equatable {
    /// The generation that the session builds anew; 0 if it only removes old ones.
    var generation: UInt32
    var session: UInt64

    var stored: [UInt8] {
        var writer = RecordWriter()
        writer.write(UInt8(1))
        writer.write(self.generation)
        writer.write(self.session)
        return writer.bytes
    }

    init(generation: UInt32, session: UInt64) {
        self.generation = generation
        self.session = session
    }

    init(stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "the note of a projection's rebuild")
        try reader.requireVersion(1)
        self.generation = try reader.read()
        self.session = try reader.read()
    }
}

/// Why a projection stopped.
public struct ProjectionFailure: Hashable, Sendable {
    /// The place of the event that the function threw at, or that cannot be read.
    public let position: Position
    /// The event's id; empty if it cannot be read.
    public let eventID: EventID
    /// The event's type; empty if it cannot be read.
    public let type: String
    /// What the function, or reading the event, threw, as text.
    public let message: String
}

extension ProjectionFailure {
    /// That the log cannot be read from a place on.
    init(damaged position: UInt64, _ error: StorageError) {
        self.init(
            position: Position(position), eventID: EventID(""), type: "", message: "\(EventLogError(error))")
    }
}

/// How far a generation is.
struct ProjectionProgress: Equatable {
    /// The function that builds it.
    var version: UInt32
    /// The position of the next event that it has not seen.
    var next: UInt64 = 0
    /// How many events its function was given.
    var applied: UInt64 = 0
    /// Nanoseconds since 1970 of its last commit.
    var updatedAt: Int64 = 0
    var failure: ProjectionFailure?

    var stored: [UInt8] {
        var writer = RecordWriter()
        writer.write(UInt8(1))
        writer.write(self.version)
        writer.write(self.next)
        writer.write(self.applied)
        writer.write(self.updatedAt)
        writer.write(UInt8(self.failure == nil ? 0 : 1))
        if let failure {
            writer.write(failure.position.rawValue)
            writer.write(text: failure.eventID.description)
            writer.write(text: failure.type)
            writer.write(text: failure.message)
        }
        return writer.bytes
    }

    init(version: UInt32) {
        self.version = version
    }

    init(stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "the progress of a projection")
        try reader.requireVersion(1)
        self.version = try reader.read()
        self.next = try reader.read()
        self.applied = try reader.read()
        self.updatedAt = try reader.read()
        if try reader.read() as UInt8 == 1 {
            self.failure = ProjectionFailure(
                position: Position(try reader.read()), eventID: EventID(try reader.readText()),
                type: try reader.readText(), message: try reader.readText())
        }
    }
}

enum ProjectionKeys {
    static func control(_ name: String) -> [UInt8] { [0] + Array(name.utf8) }
    static func note(_ name: String) -> [UInt8] { [3] + Array(name.utf8) }
    static func progress(_ name: String, _ generation: UInt32) -> [UInt8] {
        [1] + Array(name.utf8) + [0] + Self.bigEndian(generation)
    }
    static func values(_ name: String, _ generation: UInt32) -> [UInt8] {
        [2] + Array(name.utf8) + [0] + Self.bigEndian(generation)
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) }
    }

    static func checkName(_ name: String) throws(EventLogError) {
        guard (1...64).contains(name.utf8.count), !NameRules.hasControlCharacter(name) else {
            throw EventLogError(
                .invalidArgument,
                "the name of a projection has 1 to 64 bytes of UTF-8 and no control characters")
        }
    }
}

extension RecordView {
    func control(_ name: String) throws(StorageError) -> ProjectionControl? {
        guard let bytes = try self.record(.projections, key: ProjectionKeys.control(name)) else { return nil }
        return try ProjectionControl(stored: bytes)
    }

    func note(_ name: String) throws(StorageError) -> ProjectionNote? {
        guard let bytes = try self.record(.projections, key: ProjectionKeys.note(name)) else { return nil }
        return try ProjectionNote(stored: bytes)
    }

    func progress(_ name: String, _ generation: UInt32) throws(StorageError) -> ProjectionProgress? {
        let key = ProjectionKeys.progress(name, generation)
        guard let bytes = try self.record(.projections, key: key) else { return nil }
        return try ProjectionProgress(stored: bytes)
    }
}
