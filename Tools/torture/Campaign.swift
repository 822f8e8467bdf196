import Foundation
import SystemPackage
import Tidelog
import TidelogStorage
import TidelogTesting

/// Kills a child that appends, opens the log again, and looks for what is lost, torn or out of place.
package struct Campaign {
    private let directory: String
    private let maintains: Bool
    private let seed: UInt64
    private var random: SeededGenerator
    private var log: String { self.directory + "/log.tidelog" }

    /// Everything below this position has been looked at.
    private var checkedEnd: UInt64 = 0
    /// The next revision of each stream, as far as the log has been looked at.
    private var revisions: [String: UInt64] = [:]
    /// Nothing at or above it may have been dropped by retention.
    private var mayDropBelow: UInt64 = 0
    /// Events of these streams below these revisions may be missing, and must not be seen where it is sure.
    private var mayTruncate: [String: UInt64] = [:]
    private var isTruncated: [String: UInt64] = [:]
    /// The end of the newest backup that was acknowledged; nil if none was.
    private var backedUp: UInt64?
    /// Acknowledged events in all cycles.
    package private(set) var acknowledged = 0

    package init(directory: String, seed: UInt64, maintains: Bool) {
        self.directory = directory
        self.maintains = maintains
        self.seed = seed
        self.random = SeededGenerator(seed: seed)
    }

    /// Kills and checks `cycles` times on one log, and reads it whole in the end.
    package mutating func run(cycles: Int, progress: (Int) -> Void = { _ in }) throws {
        for cycle in 0..<cycles {
            do {
                try self.cycle(cycle, isLast: cycle == cycles - 1)
            } catch {
                throw Failure("seed \(self.seed), cycle \(cycle): \(error)")
            }
            progress(cycle)
        }
    }

    private mutating func cycle(_ number: Int, isLast: Bool) throws {
        var arguments = [
            "append", self.log, "--seed", "\(self.seed &* 100_000 &+ UInt64(number))", "--threads", "4",
        ]
        if self.maintains { arguments.append("--maintain") }
        let child = try Child(arguments, output: self.directory + "/acknowledged")
        // Now and then while it opens, mostly while it works.
        usleep(
            UInt32(self.random.chance(permille: 200) ? self.random.below(40_000) : self.random.below(400_000))
        )
        child.kill()
        let lines = child.lines()
        if let failed = lines.first(where: { $0.hasPrefix("FAILED") || $0.hasPrefix("torture:") }) {
            throw Failure("the child said \(failed)")
        }
        try self.check(lines, isLast: isLast || number % 10 == 9)
    }

    // MARK: Checking

    private mutating func check(_ lines: [String], isLast: Bool) throws {
        var expected: [UInt64: String] = [:]
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            switch words[0] {
            case "ACK": expected[UInt64(words[1]) ?? 0] = words[2]
            case "BACKED-UP": self.backedUp = UInt64(words[1])
            case "RETAIN": self.mayDropBelow = max(self.mayDropBelow, UInt64(words[1]) ?? 0)
            case "TRUNCATE":
                self.mayTruncate[words[1]] = max(self.mayTruncate[words[1]] ?? 0, UInt64(words[2]) ?? 0)
            case "TRUNCATED":
                self.isTruncated[words[1]] = max(self.isTruncated[words[1]] ?? 0, UInt64(words[2]) ?? 0)
            default: break
            }
        }
        if isLast {
            var options = VerificationOptions()
            options.isDeep = true
            let found = try Verification.run(directory: self.log, options: options).findings
            if let damage = found.first(where: { !$0.isNote }) { throw Failure("verify: \(damage.message)") }
        }
        let log = try EventLog.openBlocking(at: FilePath(self.log), configuration: Appender.configuration)
        defer { log.closeBlocking() }
        let view = try log.engine.currentView()
        let first = view.state.firstPosition
        guard first <= self.mayDropBelow else {
            throw Failure("the log begins at \(first), and nothing from \(self.mayDropBelow) on was to go")
        }
        guard view.end >= self.checkedEnd else {
            throw Failure("the log ended at \(self.checkedEnd) and ends at \(view.end) now")
        }
        try self.checkNew(log, first: first, end: view.end, expected)
        if isLast {
            try self.checkAll(log, first: first, end: view.end)
            if let backedUp = self.backedUp { try self.checkBackup(end: backedUp) }
        }
    }

    /// Looks at what was appended since the last look.
    private mutating func checkNew(
        _ log: EventLog, first: UInt64, end: UInt64, _ expected: [UInt64: String]
    ) throws {
        var expected = expected
        var query = EventQuery.all
        query.from = Position(self.checkedEnd)
        var next = max(self.checkedEnd, first)
        var open: (batch: Batch, next: Int)?
        for stored in try log.eventsBlocking(query) {
            let position = stored.position.rawValue
            let id = stored.event.id.description
            if position != next { try self.checkGap(next..<position, &expected, &open) }
            next = position + 1
            try Self.checkContents(stored)
            try self.checkRevision(stored)
            guard let (batch, index) = Batch.parse(id) else { throw Failure("a stranger: \(id)") }
            if let open, open.next < open.batch.count {
                guard open.batch == batch, open.next == index else {
                    throw Failure("batch \(open.batch.name) is torn at \(position): \(id) follows")
                }
            } else if index > 0, !self.maintains || position > max(first, self.checkedEnd) + 200 {
                guard stored.event.stream?.hasPrefix("tr") == true else {
                    throw Failure("batch \(batch.name) begins with \(index) at \(position)")
                }
            }
            open = (batch, index + 1)
            if let acknowledged = expected.removeValue(forKey: position) {
                guard acknowledged == id else {
                    throw Failure("at \(position) stands \(id), and \(acknowledged) was acknowledged there")
                }
                self.acknowledged += batch.count
            }
        }
        if let open, open.next < open.batch.count, !open.batch.name.contains("-0-") || !self.maintains {
            throw Failure("the log ends within batch \(open.batch.name)")
        }
        for (position, id) in expected where position >= first && !self.mayBeGone(id) {
            throw Failure("acknowledged and lost: \(id) at \(position); the log is \(first)..<\(end)")
        }
        self.checkedEnd = end
    }

    /// Only truncated events may leave a gap.
    private func checkGap(
        _ gap: Range<UInt64>, _ expected: inout [UInt64: String], _ open: inout (batch: Batch, next: Int)?
    ) throws {
        guard self.maintains else { throw Failure("positions \(gap) are missing") }
        for position in gap {
            guard let id = expected.removeValue(forKey: position) else { continue }
            guard self.mayBeGone(id) else { throw Failure("acknowledged and lost: \(id) at \(position)") }
        }
        open = nil
    }

    /// Whether the events of the batch belong to streams that are truncated.
    private func mayBeGone(_ id: String) -> Bool {
        self.maintains && id.split(separator: "-")[2] == "0"
    }

    private static func checkContents(_ stored: StoredEvent) throws {
        let wanted = Batch.event(id: stored.event.id.description, stream: stored.event.stream ?? "")
        guard stored.event == wanted else { throw Failure("at \(stored.position) stands \(stored.event)") }
    }

    private mutating func checkRevision(_ stored: StoredEvent) throws {
        guard let stream = stored.event.stream, let revision = stored.revision?.rawValue else {
            throw Failure("the event at \(stored.position) has no stream")
        }
        let next = self.revisions[stream] ?? 0
        if stream.hasPrefix("tr") {
            guard revision >= self.isTruncated[stream] ?? 0, revision >= next else {
                throw Failure("\(stream) has revision \(revision) after \(next) at \(stored.position)")
            }
        } else {
            // Retention may have taken the beginning of what was not looked at yet.
            guard revision == next || (self.maintains && revision > next && self.mayDropBelow > 0) else {
                throw Failure("\(stream) has revision \(revision) for \(next) at \(stored.position)")
            }
        }
        self.revisions[stream] = revision + 1
    }

    /// Reads the whole log: what was there is there still, in every order and by stream.
    private func checkAll(_ log: EventLog, first: UInt64, end: UInt64) throws {
        var count = 0
        var next = first
        var byStream: [String: [UInt64]] = [:]
        try log.scan(.all) { view throws(EventLogError) in
            count += 1
            next = view.position.rawValue + 1
            byStream[view.stream ?? "", default: []].append(view.revision?.rawValue ?? 0)
            return true
        }
        if !self.maintains {
            guard count == Int(end - first), next == end else {
                throw Failure("\(count) events in \(first)..<\(end)")
            }
        }
        for (stream, revisions) in byStream where !stream.hasPrefix("tr") {
            guard let low = revisions.first, revisions.elementsEqual(low..<low + UInt64(revisions.count))
            else {
                throw Failure("the revisions of \(stream) have a gap")
            }
            let found = try log.eventsBlocking(.stream(stream)).map { $0.revision?.rawValue ?? 0 }
            guard found == revisions else { throw Failure("\(stream) read by its index lacks events") }
        }
        guard try log.engine.count(RecordQuery()) == count else {
            throw Failure("the count differs from \(count)")
        }
    }

    /// The backup is whole, with all that was acknowledged of it, and becomes a log that is clean.
    private func checkBackup(end: UInt64) throws {
        let restored = self.directory + "/restored.tidelog"
        _ = try Restore.run(from: Appender.backup(of: self.log), to: restored)
        defer { try? FileManager.default.removeItem(atPath: restored) }
        guard try Verification.run(directory: restored, options: VerificationOptions()).isClean else {
            throw Failure("the restored log is not clean")
        }
        let copy = try EventLog.openBlocking(at: FilePath(restored), configuration: Appender.configuration)
        defer { copy.closeBlocking() }
        for stored in try copy.eventsBlocking() { try Self.checkContents(stored) }
        guard try copy.engine.currentView().end >= end else {
            throw Failure("the restored log ends before \(end)")
        }
    }
}
