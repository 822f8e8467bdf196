import Dispatch
import Tidelog

/// What an import did.
struct ImportResult: Sendable {
    var added = 0
    var repeated = 0
    var batches = 0
    var bytes = 0
    var seconds = 0.0
}

/// Appends a file's events to a log in their order, batch by batch, while the next batches are parsed.
///
/// Each batch is looked up by id first. If nothing of it is known it is appended as it is, in one transaction;
/// what is known is compared with what the log has and left out. Another process may append the same ids
/// meanwhile: then the log refuses the batch, and it is looked up again.
final class Importer {
    private let log: EventLog
    private let input: LineReader
    private let batch: Int
    private let window: Int
    private let showsProgress: Bool
    private var known: KnownEvents
    private var lookedAtFrom = Position.zero
    private var result = ImportResult()

    init(log: EventLog, input: LineReader, batch: Int, window: Int, showsProgress: Bool) {
        self.log = log
        self.input = input
        self.batch = batch
        self.window = window
        self.showsProgress = showsProgress
        self.known = KnownEvents(window: window, start: .zero)
    }

    /// Imports the whole input; blocks.
    func run() throws -> ImportResult {
        let watch = Stopwatch()
        let bar = ProgressBar(
            "importing", total: self.input.totalBytes, isWanted: self.showsProgress, describe: Units.bytes)
        defer { bar.finish() }
        self.lookedAtFrom = try self.firstLookedAt()
        self.known = KnownEvents(window: self.window, start: self.lookedAtFrom)
        try self.known.catchUp(with: self.log)

        let queue = ParseQueue(depth: 8)
        let (input, batch) = (self.input, self.batch)
        DispatchQueue(label: "tidelog.import").async { queue.fill(from: input, batch: batch) }
        do {
            while let parsed = try queue.next() {
                if let failure = parsed.failure { throw failure }
                try self.take(parsed)
                self.result.bytes += parsed.bytes
                let all = self.result.added + self.result.repeated
                bar.update(self.result.bytes, "\(Units.events(all))  \(Units.rate(all, watch.seconds))")
            }
        } catch {
            queue.cancel()
            throw self.withWhatIsStored(error)
        }
        self.result.seconds = watch.seconds
        return self.result
    }

    /// The position from which on ids are looked up.
    private func firstLookedAt() throws -> Position {
        var query = EventQuery.all
        query.order = .newestFirst
        query.limit = 1
        guard let last = try self.log.eventsBlocking(query).first?.position else { return .zero }
        return last.rawValue < UInt64(self.window) ? .zero : Position(last.rawValue + 1 - UInt64(self.window))
    }

    private func take(_ parsed: ParseQueue.Parsed) throws {
        if parsed.events.isEmpty { return }
        if self.result.batches == 0, self.result.repeated == 0 { try self.refuseOlder(parsed) }
        var tries = 0
        while true {
            let known = try self.known(parsed)
            let events =
                known.isEmpty
                ? parsed.events
                : parsed.events.enumerated().filter { !known.contains($0.offset) }.map(\.element)
            if events.isEmpty { return self.result.repeated += known.count }
            do {
                let answer = try self.log.appendBlocking(events)
                try self.takeIn(parsed, leavingOut: known, at: answer.positions.lowerBound)
                self.result.repeated += known.count + (answer.isRepeat ? events.count : 0)
                self.result.added += answer.isRepeat ? 0 : events.count
                self.result.batches += 1
                return
            } catch let error as EventLogError {
                // Somebody else may have appended some of them just now.
                guard error.code == .duplicateEvent, tries < 3 else { throw self.placed(error, parsed) }
                tries += 1
                try self.known.catchUp(with: self.log)
            }
        }
    }

    /// Keeps in mind what was appended.
    private func takeIn(
        _ parsed: ParseQueue.Parsed, leavingOut known: Set<Int>, at first: Position
    ) throws {
        // What others have appended meanwhile stands before it.
        if first > self.known.end { try self.known.catchUp(with: self.log, to: first) }
        guard first == self.known.end else { return }
        var position = first
        for (index, hash) in parsed.hashes.enumerated() where known.isEmpty || !known.contains(index) {
            self.known.insert(hash, position)
            position = position.advanced(by: 1)
        }
    }

    /// Refuses to import again what is so old that its ids are not looked at: it would be stored twice.
    private func refuseOlder(_ parsed: ParseQueue.Parsed) throws {
        guard self.lookedAtFrom > .zero, let event = parsed.events.first,
            self.known.candidate(parsed.hashes[0]) == nil
        else { return }
        let (log, id) = (self.log, event.id)
        let found = try wait { try await log.event(id: id) }
        guard let found else { return }
        throw Failure(
            .unmet,
            "line \(parsed.lines[0]): the event is in the log already, at position \(found.position), which is "
                + "older than the newest \(Units.count(self.window)) events that ids are looked for among; "
                + "import with --window \(self.known.end.rawValue - found.position.rawValue) or more")
    }

    /// Which events of a batch are in the log already or repeat one of the batch.
    private func known(_ parsed: ParseQueue.Parsed) throws -> Set<Int> {
        var suspects: [(index: Int, position: Position)] = []
        for (index, hash) in parsed.hashes.enumerated() {
            if let position = self.known.candidate(hash) { suspects.append((index, position)) }
        }
        var known: Set<Int> = []
        if !suspects.isEmpty {
            let stored = try self.events(at: suspects.map(\.position))
            for suspect in suspects {
                let event = parsed.events[suspect.index]
                guard let found = stored[suspect.position], found.id == event.id else { continue }
                guard Self.isSame(found.event, event) else {
                    throw Failure(
                        .unmet,
                        "line \(parsed.lines[suspect.index]): the id \(event.id) is in the log already, at "
                            + "position \(suspect.position), with other contents; give this event an id of its "
                            + "own")
                }
                known.insert(suspect.index)
            }
        }
        if parsed.mayRepeat { try self.addRepeats(parsed, to: &known) }
        return known
    }

    /// Adds the events that another one of the batch came before.
    private func addRepeats(_ parsed: ParseQueue.Parsed, to known: inout Set<Int>) throws {
        var first: [EventID: Int] = [:]
        for (index, event) in parsed.events.enumerated() where !known.contains(index) {
            guard let before = first[event.id] else {
                first[event.id] = index
                continue
            }
            guard Self.isSame(parsed.events[before], event) else {
                throw Failure(
                    .unmet,
                    "line \(parsed.lines[index]): the id \(event.id) was in line \(parsed.lines[before]) already, "
                        + "with other contents; give this event an id of its own")
            }
            known.insert(index)
        }
    }

    /// The events at these positions, read in runs: what was imported together stands together.
    private func events(at positions: [Position]) throws -> [Position: StoredEvent] {
        let sorted = positions.sorted()
        var found: [Position: StoredEvent] = [:]
        found.reserveCapacity(sorted.count)
        var start = 0
        while start < sorted.count {
            var end = start + 1
            while end < sorted.count, sorted[end].rawValue - sorted[end - 1].rawValue < 64 { end += 1 }
            var query = EventQuery.all
            query.from = sorted[start]
            query.to = sorted[end - 1].advanced(by: 1)
            for event in try self.log.eventsBlocking(query) { found[event.position] = event }
            start = end
        }
        return found
    }

    /// Whether two events are one; times aside, as a line without a time gets that of its reading.
    private static func isSame(_ stored: Event, _ offered: Event) -> Bool {
        var offered = offered
        offered.timestamp = stored.timestamp
        return stored == offered
    }

    private func placed(_ error: EventLogError, _ parsed: ParseQueue.Parsed) -> any Error {
        let place = "lines \(parsed.lines.first ?? 0) to \(parsed.lines.last ?? 0)"
        switch error.code {
        case .invalidEvent, .limitExceeded, .invalidArgument, .duplicateEvent, .streamDeleted, .conflict:
            return Failure(.unmet, "\(place): \(Ending.text(of: error))")
        default: return error
        }
    }

    /// Says how much of the file is in the log, so that one knows what to do.
    private func withWhatIsStored(_ error: any Error) -> any Error {
        let ending = Ending(error)
        guard let message = ending.message, let status = Failure.Status(rawValue: ending.status) else {
            return error
        }
        let stored = self.result.added + self.result.repeated
        return Failure(
            status, "\(message) (\(Units.events(stored)) of the batches before are in the log)")
    }
}
