import Glibc

@testable import TidelogStorage

/// A log of random shape in a directory of its own, made from a seed, and what it holds.
final class SampleLog {
    let scratch = ScratchDirectory()
    let directory: String
    var random: SeededRandom
    private var serial: UInt64 = 0
    /// Streams that take no more events.
    private var deleted: Set<String> = []

    static var options: EngineOptions {
        var options = EngineOptions()
        options.segmentBytes = 32 << 10
        options.blockBytes = 4 << 10
        options.dictionaryBytes = 2 << 10
        options.dictionaryEvents = 150
        options.sealsInBackground = false
        options.idempotenceWindow = 4096
        options.mapSizeBytes = 1 << 30
        return options
    }

    init(seed: UInt64) {
        self.random = SeededRandom(seed)
        self.directory = self.scratch.file("log")
    }

    func open(readOnly: Bool = false) throws(StorageError) -> LogEngine {
        var options = Self.options
        options.isReadOnly = readOnly
        return try LogEngine(directory: self.directory, options: options)
    }

    /// An event that no other event of the log equals.
    func record(streams: Int = 12) -> EventRecord {
        self.serial += 1
        var stream: String? = self.random.below(5) == 0 ? nil : "stream-\(self.random.below(streams))"
        if let name = stream, self.deleted.contains(name) { stream = nil }
        var payload = [UInt8]("{\"n\":\(self.serial),\"v\":".utf8)
        for _ in 0..<self.random.below(self.random.below(20) == 0 ? 3000 : 120) {
            payload.append(UInt8(truncatingIfNeeded: self.random.next()))
        }
        return EventRecord(
            id: self.random.below(3) == 0
                ? .text("event-\(self.serial)") : .uuid(self.random.next(), self.serial),
            type: "type.\(self.random.below(7))", stream: stream,
            timestamp: 1_700_000_000_000_000_000 + Int64(self.serial) * 1_000_003,
            source: self.random.below(2) == 0 ? "test" : nil, contentType: "application/json",
            correlation: self.random.below(4) == 0 ? .text("chain-\(self.serial / 5)") : nil,
            metadata: self.random.below(2) == 0 ? ArraySlice("{\"user\":\"u\"}".utf8) : [],
            payload: payload[...])
    }

    func append(_ engine: LogEngine, _ count: Int) throws(StorageError) {
        _ = try engine.appendBlocking((0..<count).map { _ in self.record() })
    }

    /// Makes the log by random operations, and closes it.
    ///
    /// - Parameter isPlain: whether to leave out what takes events away.
    func make(steps: Int, isPlain: Bool = false) throws(StorageError) {
        let engine = try self.open()
        defer { engine.close() }
        for _ in 0..<steps {
            switch self.random.below(isPlain ? 12 : 16) {
            case 0...3: try self.append(engine, 1 + self.random.below(3))
            case 4...8: try self.append(engine, 1 + self.random.below(200))
            case 9: try self.append(engine, 300 + self.random.below(300))
            case 10...11: _ = try engine.seal()
            case 12: try? engine.truncate(stream: "stream-\(self.random.below(12))", before: 2)
            case 13:
                let name = "stream-\(self.random.below(12))"
                try? engine.delete(stream: name, expecting: .any)
                self.deleted.insert(name)
            case 14:
                var policy = CompactionPolicy()
                policy.keepsLatestOnly = self.random.below(4) == 0
                policy.mergedBytes = self.random.below(2) == 0 ? 0 : 64 << 10
                _ = try engine.compact(policy)
            default:
                var limits = RetentionLimits()
                limits.maximumBytes = 20_000 + self.random.below(100_000)
                _ = try engine.retain(limits)
            }
        }
        if self.random.below(4) > 0 { try self.append(engine, 1 + self.random.below(100)) }
    }

    /// Everything that a reader sees.
    static func contents(_ directory: String) throws(StorageError) -> [PlacedRecord] {
        var options = self.options
        options.createsIfMissing = false
        let engine = try LogEngine(directory: directory, options: options)
        defer { engine.close() }
        return try engine.records(RecordQuery())
    }

    var contents: [PlacedRecord] {
        get throws(StorageError) { try Self.contents(self.directory) }
    }

    func verify(deep: Bool = true) throws(StorageError) -> VerificationOutcome {
        try Self.verify(self.directory, deep: deep)
    }

    static func verify(_ directory: String, deep: Bool = true) throws(StorageError) -> VerificationOutcome {
        var options = VerificationOptions()
        options.isDeep = deep
        return try Verification.run(directory: directory, options: options)
    }

    /// The files of the log that hold its contents.
    var files: [String] {
        get throws(StorageError) {
            let segments = self.directory + "/segments"
            return [self.directory + "/head.mdb"] + (try Files.list(segments)).map { segments + "/" + $0 }
        }
    }
}

/// Copies a directory and all in it.
func copyTree(_ source: String, to target: String) throws(StorageError) {
    try Files.createDirectory(target)
    for name in try Files.list(source) {
        let (from, to) = (source + "/" + name, target + "/" + name)
        if try Files.kind(from) == .directory {
            try copyTree(from, to: to)
        } else {
            let bytes = try Files.contents(from, maximumBytes: 1 << 30)
            let descriptor = try Files.open(to, flags: O_WRONLY | O_CREAT | O_EXCL)
            try bytes.span.bytes.withUnsafeBytes { buffer throws(StorageError) in
                try Files.write(descriptor: descriptor.number, buffer)
            }
        }
    }
}

/// Flips one bit of a file, whatever its mode.
func flip(_ path: String, bit: Int) throws {
    chmod(path, 0o600)
    let descriptor = try Files.open(path, flags: O_RDWR)
    var byte: UInt8 = 0
    guard pread(descriptor.number, &byte, 1, bit / 8) == 1 else {
        throw StorageError(.notFound, "no such byte")
    }
    byte ^= 1 << (bit % 8)
    guard pwrite(descriptor.number, &byte, 1, bit / 8) == 1 else {
        throw StorageError(.inputOutput, "pwrite")
    }
}

/// Cuts a file.
func cut(_ path: String, to length: Int) throws {
    chmod(path, 0o600)
    let descriptor = try Files.open(path, flags: O_RDWR)
    try Files.truncate(descriptor: descriptor.number, length: length)
}
