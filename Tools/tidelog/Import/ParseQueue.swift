import Dispatch
import Synchronization
import Tidelog

/// Lines on their way to events: parsed on other threads, several batches at once, taken out in order.
final class ParseQueue: Sendable {
    /// One batch of events, or what is wrong with the input.
    struct Parsed: Sendable {
        var events: [Event] = []
        /// The line of each event.
        var lines: [Int] = []
        /// What each event's id is known by.
        var hashes: [UInt64] = []
        /// Whether two events may have the same id.
        var mayRepeat = false
        var bytes = 0
        /// Why there is no further event in this batch.
        var failure: (any Error)?
    }

    private final class Job: Sendable {
        let isDone = DispatchSemaphore(value: 0)
        let parsed = Mutex<Parsed>(Parsed())
    }

    private struct State {
        var jobs: [Job] = []
        var next = 0
        var isOver = false
        var isCancelled = false
        var failure: (any Error)?
    }

    private let state = Mutex(State())
    private let room: DispatchSemaphore
    private let available = DispatchSemaphore(value: 0)

    /// - Parameter depth: how many batches are read ahead.
    init(depth: Int) { self.room = DispatchSemaphore(value: depth) }

    /// Reads and parses the whole input; called on a thread of its own.
    func fill(from reader: LineReader, batch: Int) {
        do {
            try reader.forEachBatch(of: batch) { lines in
                self.room.wait()
                let job = Job()
                let goesOn = self.state.withLock { state in
                    state.jobs.append(job)
                    return !state.isCancelled
                }
                self.available.signal()
                DispatchQueue.global().async {
                    let parsed = Self.parse(lines)
                    job.parsed.withLock { $0 = parsed }
                    job.isDone.signal()
                }
                return goesOn
            }
            self.state.withLock { $0.isOver = true }
        } catch {
            self.state.withLock { state in
                state.failure = error
                state.isOver = true
            }
        }
        self.available.signal()
    }

    /// The next batch, in the order of the input; nil at its end.
    func next() throws -> Parsed? {
        self.available.wait()
        let job = try self.state.withLock { state -> Job? in
            if state.next < state.jobs.count {
                let job = state.jobs[state.next]
                state.next += 1
                if state.next == 64 {
                    state.jobs.removeFirst(64)
                    state.next = 0
                }
                return job
            }
            if let failure = state.failure { throw failure }
            return nil
        }
        guard let job else { return nil }
        job.isDone.wait()
        self.room.signal()
        return job.parsed.withLock { parsed in
            defer { parsed = Parsed() }
            return parsed
        }
    }

    /// Says that nobody will ask for more.
    func cancel() {
        self.state.withLock { $0.isCancelled = true }
        self.room.signal()
    }

    private static func parse(_ lines: Lines) -> Parsed {
        var decoder = EventJSONDecoder()
        var parsed = Parsed()
        parsed.bytes = lines.bytes.count
        parsed.events.reserveCapacity(lines.ends.count)
        parsed.lines.reserveCapacity(lines.ends.count)
        do throws(EventLogError) {
            try lines.forEach { (line, number) throws(EventLogError) in
                parsed.events.append(try decoder.decode(line, line: number))
                parsed.lines.append(number)
            }
            parsed.hashes = parsed.events.map { KnownEvents.hash($0.id) }
            parsed.mayRepeat = Set(parsed.hashes).count < parsed.hashes.count
        } catch {
            parsed.failure = Failure(.unmet, Ending.text(of: error))
        }
        return parsed
    }
}
