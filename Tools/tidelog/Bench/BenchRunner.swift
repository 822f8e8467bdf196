import Glibc
import Synchronization
import SystemPackage
import Tidelog

/// Runs scenarios that write, each in a fresh log.
struct BenchRunner: Sendable {
    /// Where the logs are made, and removed again.
    let directory: String
    let input: BenchInput
    /// How long appending may take in one run.
    let seconds: Double
    let sealsInBackground: Bool

    /// Appends with so many callers; each takes the next batch when its last one is durable.
    func append(_ name: String, callers: Int, _ batches: [[Event]]) async throws -> BenchResult {
        try await self.withFreshLog(sealsInBackground: self.sealsInBackground) { log in
            let next = Counter()
            let limit = self.seconds
            let start = ContinuousClock.now
            let done = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<callers {
                    group.addTask {
                        var done = 0
                        while case let index = next.next(), index < batches.count {
                            try await log.append(batches[index])
                            done += batches[index].count
                            if (ContinuousClock.now - start).inSeconds > limit { break }
                        }
                        return done
                    }
                }
                return try await group.reduce(0, +)
            }
            return BenchResult(name, events: done, seconds: (ContinuousClock.now - start).inSeconds)
        }
    }

    /// Fills the head, then seals it.
    func seal(_ batches: [[Event]]) async throws -> BenchResult {
        try await self.withFreshLog(sealsInBackground: false) { log in
            for batch in batches { try await log.append(batch) }
            let watch = Stopwatch()
            let segments = try await log.seal()
            let seconds = watch.seconds
            return BenchResult("seal", events: segments.reduce(0) { $0 + $1.count }, seconds: seconds)
        }
    }

    /// Fills the head and seals it while a task appends single events; measures that task's longest wait.
    func sealStall(_ batches: [[Event]]) async throws -> BenchResult {
        try await self.withFreshLog(sealsInBackground: false) { log in
            for batch in batches { try await log.append(batch) }
            let appending = Task {
                var (longest, appends) = (0.0, 0)
                let whole = Stopwatch()
                while !Task.isCancelled {
                    let watch = Stopwatch()
                    do {
                        try await log.append(Event(type: "bench.waiting"))
                    } catch EventLogError.Code.cancelled {
                        break
                    }
                    longest = max(longest, watch.seconds)
                    appends += 1
                }
                return BenchResult(
                    "seal-stall", events: appends, seconds: whole.seconds, .microseconds(longest * 1e6))
            }
            do {
                try await log.seal()
            } catch {
                appending.cancel()
                throw error
            }
            appending.cancel()
            return try await appending.value
        }
    }

    /// Makes a log of so many small segments, closes it, and opens it.
    func reopenSegments(
        _ name: String, count: Int, appending: Bool, _ batches: [[Event]]
    ) async throws -> BenchResult {
        let path = try self.freshDirectory()
        defer { Self.remove(path) }
        let log = try await EventLog.open(at: FilePath(path))
        try await withLog(log) { log in
            for index in 0..<count {
                let events = batches[index % batches.count].prefix(200)
                try await log.append(events.map { Event(type: $0.type, stream: $0.stream) })
                try await log.seal()
            }
        }
        return try await Self.timeToOpen(path, name, appending: appending)
    }

    /// Fills the head in a child process, kills it, and opens what it left.
    func reopen(_ name: String, appending: Bool) async throws -> BenchResult {
        let path = try self.freshDirectory()
        defer { Self.remove(path) }
        let child = try FillingChild(log: path, input: self.input)
        try child.waitUntilFull()
        child.kill()
        return try await Self.timeToOpen(path, name, appending: appending)
    }

    /// How long it takes until the first event can be read or, with `appending`, has been appended.
    static func timeToOpen(
        _ path: String, _ name: String, appending isAppending: Bool = false
    ) async throws -> BenchResult {
        let watch = Stopwatch()
        let log = try await EventLog.open(at: FilePath(path))
        if isAppending { try await log.append(Event(type: "bench.reopened")) }
        let seconds = watch.seconds
        let statistics = try await log.statistics()
        await log.close()
        return BenchResult(
            name, events: statistics.activeEvents, seconds: seconds, .microseconds(seconds * 1e6))
    }

    /// A log with all of the input in sealed segments, for `body`; removed after it.
    ///
    /// - Parameter kept: where the log is kept instead; if it is there already, `body` gets it as it is.
    func withSealedLog<Value>(
        keptAt kept: String?, _ body: (String) async throws -> Value
    ) async throws -> Value {
        if let kept {
            if fileNames(in: kept).isEmpty { try await self.makeSealedLog(kept) }
            return try await body(kept)
        }
        let path = try self.freshDirectory()
        defer { Self.remove(path) }
        try await self.makeSealedLog(path)
        return try await body(path)
    }

    private func makeSealedLog(_ path: String) async throws {
        let log = try await EventLog.open(at: FilePath(path))
        try await withLog(log) { log in
            let bar = ProgressBar("loading", total: self.input.count)
            defer { bar.finish() }
            var events = try self.input.reader()
            var done = 0
            var isPending: Task<Void, any Error>?
            while case let batch = try events.next(1000), !batch.isEmpty {
                // The next batch is made while this one is committed.
                try await isPending?.value
                isPending = Task { try await log.append(batch) }
                done += batch.count
                bar.update(done)
            }
            try await isPending?.value
            try await log.seal()
        }
    }

    func withFreshLog<Value>(
        sealsInBackground: Bool, _ body: (EventLog) async throws -> Value
    ) async throws -> Value {
        let path = try self.freshDirectory()
        defer { Self.remove(path) }
        var configuration = EventLogConfiguration()
        configuration.sealsInBackground = sealsInBackground
        return try await withLog(
            try await EventLog.open(at: FilePath(path), configuration: configuration), body)
    }

    private func freshDirectory() throws -> String {
        var template = Array("\(self.directory)/tidelog-bench.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure(
                .unable,
                "cannot make a directory in \(self.directory): \(systemMessage(errno)); name another place")
        }
        sync()
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a log that was made here: its files by their directory, nothing else.
    private static func remove(_ path: String) {
        for folder in ["\(path)/segments", path] {
            for name in fileNames(in: folder) { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
    }
}

/// Counts from 0, for several tasks.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { self.value.add(1, ordering: .relaxed).oldValue }
}

/// The names of a directory's entries.
func fileNames(in directory: String) -> [String] {
    guard let entries = opendir(directory) else { return [] }
    defer { closedir(entries) }
    var names: [String] = []
    while let entry = readdir(entries) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}
