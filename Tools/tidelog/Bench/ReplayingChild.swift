import Glibc
import SystemPackage
import Tidelog

/// A process of its own that replays a log, to measure the memory that this takes: this one has made the
/// events, and what it took for that is still its own.
///
/// It is this program with the hidden option `--replay`; it writes the most anonymous memory that was resident
/// during the replay, in bytes.
enum ReplayingChild {
    /// The most anonymous memory, in megabytes.
    static func megabytes(_ log: String) throws -> Double {
        let child = try ChildProcess(["bench", "--replay", log])
        let text = String(decoding: child.read(atMost: 64), as: UTF8.self)
        child.wait()
        guard let bytes = Int(text.filter(\.isNumber)) else {
            throw Failure(.unable, "the child that replays a log ended early; see its message above")
        }
        return Double(bytes) / 1e6
    }

    /// The child's work: all events as views, and looks at its memory now and then.
    static func replay(_ path: String) async throws {
        var configuration = EventLogConfiguration()
        configuration.mode = .readOnly
        let log = try await EventLog.open(at: FilePath(path), configuration: configuration)
        let most = try await withLog(log) { log in
            try await onThread {
                var (seen, bytes, most) = (0, 0, 0)
                try log.scan(.all) { view throws(EventLogError) in
                    bytes &+= try view.withPayload { $0.byteCount }
                    if seen % 65_536 == 0 { most = max(most, Self.anonymousBytes()) }
                    seen += 1
                    return true
                }
                return max(most, Self.anonymousBytes())
            }
        }
        try show("\(most)")
    }

    /// The anonymous memory of this process that is resident now.
    private static func anonymousBytes() -> Int {
        guard let file = fopen("/proc/self/status", "re") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard text.hasPrefix("RssAnon:") else { continue }
            return (Int(text.filter(\.isNumber)) ?? 0) * 1024
        }
        return 0
    }
}
