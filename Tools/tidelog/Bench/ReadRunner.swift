import Glibc
import SystemPackage
import Tidelog
import TidelogTesting

/// Measures reading on one sealed log.
struct ReadRunner: Sendable {
    let path: String
    let log: EventLog
    let input: BenchInput
    /// The stream that is asked for, and how many events it has.
    let stream: (name: String, count: Int)
    /// The type that is asked for, and how many events have it.
    let type: (pattern: TypePattern, count: Int)

    /// Runs one scenario once.
    func run(_ reading: BenchScenario.Reading) async throws -> BenchResult {
        let name = reading.rawValue
        switch reading {
        case .replay: return try await self.replay(name, parts: 1)
        case .replay2: return try await self.replay(name, parts: 2)
        case .replayOwned: return try await self.replayOwned(name)
        case .point: return try await self.point(name)
        case .countType: return try await self.countType(name)
        case .readType: return try await self.readType(name)
        case .stream, .streamUncached: return try await self.warmStream(name)
        case .streamEvicted: return try await self.evictedStream(name)
        case .memory:
            let path = self.path
            let megabytes = try await onThread { try ReplayingChild.megabytes(path) }
            return BenchResult(name, events: self.input.count, seconds: 0, .megabytes(megabytes))
        case .bytesSealed:
            let statistics = try await self.log.statistics()
            let bytes = Double(statistics.sealedBytes) / Double(max(1, statistics.sealedEvents))
            return BenchResult(name, events: statistics.sealedEvents, seconds: 0, .bytesPerEvent(bytes))
        case .streamCold, .reopenSealed, .bytes:
            preconditionFailure("\(name) is measured on a closed log")
        }
    }

    private func replay(_ name: String, parts: Int) async throws -> BenchResult {
        let end = try await self.log.statistics().nextPosition.rawValue
        let log = self.log
        let watch = Stopwatch()
        let seen = try await withThrowingTaskGroup(of: Tally.self) { group in
            for part in 0..<parts {
                var query = EventQuery.all
                query.from = Position(end * UInt64(part) / UInt64(parts))
                query.to = Position(end * UInt64(part + 1) / UInt64(parts))
                group.addTask { [query] in
                    try await onThread { try Tally(log, query) }
                }
            }
            return try await group.reduce(into: 0) { $0 += $1.events }
        }
        let seconds = watch.seconds
        try self.expect(seen, self.input.count, name)
        return BenchResult(name, events: seen, seconds: seconds)
    }

    private func replayOwned(_ name: String) async throws -> BenchResult {
        let watch = Stopwatch()
        var seen = 0
        var bytes = 0
        for try await event in self.log.read() {
            seen += 1
            bytes &+= event.payload.count
        }
        let seconds = watch.seconds
        try self.expect(seen, self.input.count, name)
        return BenchResult(name, events: seen, seconds: seconds)
    }

    private func point(_ name: String) async throws -> BenchResult {
        let (log, count) = (self.log, self.input.count)
        return try await onThread {
            var random = SeededGenerator(seed: 1)
            var times: [Double] = []
            for round in 0..<40_000 {
                let position = Position(UInt64(random.below(count)))
                let watch = Stopwatch()
                let event = try log.eventBlocking(at: position)
                let seconds = watch.seconds
                guard event?.position == position else {
                    throw Failure(.unmet, "there is no event at position \(position); run `tidelog verify`")
                }
                if round >= 20_000 { times.append(seconds) }
            }
            return BenchResult(
                name, events: times.count, seconds: times.reduce(0, +), .microseconds(median(times) * 1e6))
        }
    }

    private func countType(_ name: String) async throws -> BenchResult {
        var query = EventQuery.all
        query.types = [self.type.pattern]
        var times: [Double] = []
        for _ in 0..<11 {
            let watch = Stopwatch()
            let seen = try await self.log.count(query)
            times.append(watch.seconds)
            try self.expect(seen, self.type.count, name)
        }
        let middle = median(times)
        return BenchResult(name, events: self.input.count, seconds: middle, .microseconds(middle * 1e6))
    }

    private func readType(_ name: String) async throws -> BenchResult {
        var query = EventQuery.all
        query.types = [self.type.pattern]
        let log = self.log
        let watch = Stopwatch()
        let seen = try await onThread { [query] in try Tally(log, query).events }
        let seconds = watch.seconds
        try self.expect(seen, self.type.count, name)
        // As events of the whole log, so that it stands beside a replay.
        return BenchResult(name, events: self.input.count, seconds: seconds)
    }

    private func warmStream(_ name: String) async throws -> BenchResult {
        let (log, stream) = (self.log, self.stream)
        return try await onThread {
            var times: [Double] = []
            for round in 0..<1100 {
                let watch = Stopwatch()
                let seen = try log.eventsBlocking(.stream(stream.name)).count
                let seconds = watch.seconds
                try self.expect(seen, stream.count, name)
                if round >= 100 { times.append(seconds) }
            }
            return BenchResult(
                name, events: stream.count * times.count, seconds: times.reduce(0, +),
                .microseconds(median(times) * 1e6))
        }
    }

    private func evictedStream(_ name: String) async throws -> BenchResult {
        let (log, stream, path) = (self.log, self.stream, self.path)
        return try await onThread {
            _ = try log.eventsBlocking(.stream(stream.name))
            evict(path)
            let watch = Stopwatch()
            let seen = try log.eventsBlocking(.stream(stream.name)).count
            let seconds = watch.seconds
            try self.expect(seen, stream.count, name)
            return BenchResult(name, events: seen, seconds: seconds, .microseconds(seconds * 1e6))
        }
    }

    private func expect(_ seen: Int, _ expected: Int, _ name: String) throws {
        guard seen == expected else {
            throw Failure(.unmet, "\(name) read \(seen) events, not the \(expected) that were written")
        }
    }
}

/// What was seen while events were read as views: each is looked at, one byte of each cache line of its
/// payload.
private struct Tally: Sendable {
    var events = 0
    var bytes = 0
    var sum: UInt64 = 0

    init(_ log: EventLog, _ query: EventQuery) throws {
        var (events, bytes, sum) = (0, 0, UInt64(0))
        try log.scan(query) { view throws(EventLogError) in
            events += 1
            sum &+= view.position.rawValue &+ UInt64(bitPattern: view.timestamp.nanosecondsSinceEpoch)
            sum &+= UInt64(
                try view.withPayload { payload in
                    bytes &+= payload.byteCount
                    var sum = 0
                    var offset = 0
                    while offset < payload.byteCount {
                        sum &+= Int(payload.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
                        offset += 64
                    }
                    return sum
                })
            return true
        }
        (self.events, self.bytes, self.sum) = (events, bytes, sum)
    }
}

/// Asks the kernel to forget every file of a log, so that the next read comes from the disk.
func evict(_ path: String) {
    for folder in [path, "\(path)/segments"] {
        for name in fileNames(in: folder) {
            let descriptor = open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC)
            if descriptor < 0 { continue }
            fdatasync(descriptor)
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
            close(descriptor)
        }
    }
}

/// What the files of a log take on the disk, or their length where that is less.
func directoryBytes(_ path: String) -> Int {
    var total = 0
    for folder in [path, "\(path)/segments"] {
        for name in fileNames(in: folder) {
            var status = stat()
            guard lstat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                continue
            }
            total += min(Int(status.st_blocks) * 512, Int(status.st_size))
        }
    }
    return total
}
