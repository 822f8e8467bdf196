import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

/// The head's records of one consumer, in memory.
struct RecordShelf: RecordSource {
    var records: [[UInt8]: [UInt8]] = [:]

    mutating func write(_ ledger: inout Ledger) {
        for edit in ledger.edits {
            switch edit {
            case .set(let key, let value): self.records[key] = value
            case .remove(let key): self.records[key] = nil
            }
        }
        ledger.edits = []
        ledger.version += 1
        self.records[ConsumerKeys.state(ledger.number)] = LedgerCoding.encode(ledger)
    }

    func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]? { self.records[key] }

    func forEachRecord(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8],
        _ body: (_ key: [UInt8], _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        let keys = self.records.keys.filter {
            $0.starts(with: prefix) && !$0.lexicographicallyPrecedes(start)
        }
        for key in keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard let value = self.records[key], try body(key, value) else { return }
        }
    }
}

/// Random sessions on one ledger, held against what must be true of every event.
struct LedgerModel {
    enum Fate: Equatable { case untouched, held(UInt64), waiting, finished, dead }

    var generator: SeededGenerator
    var ledger: Ledger
    var shelf = RecordShelf()
    var moment = Moment(monotonic: 1_000, boot: 7, wall: 1_700_000_000_000_000_000)
    /// The log: the key of each position; nil where the filter leaves it out.
    var log: [UInt32?] = []
    var fates: [Fate] = []
    var alive: Set<UInt64> = [1, 2, 3]
    var lastCheckpoint: UInt64 = 0
    var problems: [String] = []

    init(seed: UInt64) {
        self.generator = SeededGenerator(seed: seed)
        var settings = ConsumerSettings()
        settings.leaseDuration = .nanoseconds(10_000_000)
        settings.retry = .exponential(
            from: .nanoseconds(100), upTo: .nanoseconds(5000), maximumDeliveries: 3)
        settings.maximumWaiting = 40
        self.ledger = Ledger(number: 1, settings: settings, frontier: 0)
        self.ledger.boot = 7
        for session in UInt64(1)...3 { self.join(session) }
        self.shelf.write(&self.ledger)
    }

    /// Lets a session take part, unless it does.
    private mutating func join(_ session: UInt64) {
        guard !self.ledger.participants.contains(where: { $0.session == session }) else { return }
        let members = Int.random(in: 1...3, using: &self.generator)
        self.ledger.participate(session, members: members, process: 1, self.moment)
    }

    mutating func step() throws {
        self.moment.monotonic += UInt64.random(in: 0...2000, using: &self.generator)
        // The wall clock jumps about; nothing may depend on it within a boot.
        self.moment.wall += Int64.random(in: -3_600_000_000_000...3_600_000_000_000, using: &self.generator)
        let session = UInt64.random(in: 1...3, using: &self.generator)
        switch Int.random(in: 0..<100, using: &self.generator) {
        case 0..<25: self.append()
        case 25..<50: self.grant(session)
        case 50..<85: self.report(session)
        case 85..<89: self.reclaim(dead: session)
        case 89..<92:
            self.moment.monotonic += 20_000_000
            self.reclaim(dead: nil)
        case 92..<94: self.leave(session)
        case 94..<96: self.reboot()
        case 96:
            self.ledger.isPaused.toggle()
            self.commit()
        default: try self.reload()
        }
        self.check()
    }

    private mutating func append() {
        for _ in 0..<Int.random(in: 1...8, using: &self.generator) {
            let isWanted = Int.random(in: 0..<4, using: &self.generator) > 0
            self.log.append(isWanted ? UInt32.random(in: 0...4, using: &self.generator) : nil)
            self.fates.append(isWanted ? .untouched : .finished)
        }
    }

    mutating func grant(_ session: UInt64, capacity: Int? = nil) {
        // Another session may have moved the frontier since this one read.
        let from =
            self.ledger.frontier - min(self.ledger.frontier, UInt64.random(in: 0...3, using: &self.generator))
        let to = UInt64(self.log.count)
        var proposal = Proposal(epoch: self.ledger.epoch, from: from, to: max(to, from))
        for position in from..<max(to, from) {
            guard let key = self.log[Int(position)] else { continue }
            proposal.positions.append(position)
            proposal.keys.append(key)
        }
        let capacity = capacity ?? Int.random(in: 1...6, using: &self.generator)
        self.join(session)
        let part = self.part(of: session, proposal)
        let grant = self.ledger.grant(to: session, capacity: capacity, proposal, self.moment)
        self.commit()
        guard let grant else { return }
        if grant.positions.count > capacity { self.problems.append("more than asked for") }
        if self.ledger.isPaused { self.problems.append("granted while paused") }
        if grant.isAlone {
            for (position, fate) in self.fates.enumerated() where fate == .held(session) {
                self.problems.append("\(position) held beside a suspect")
            }
        }
        for (index, position) in grant.positions.enumerated() {
            switch self.fates[Int(position)] {
            case .untouched, .waiting: self.fates[Int(position)] = .held(session)
            default: self.problems.append("\(position) granted while \(self.fates[Int(position)])")
            }
            if grant.key(index) != self.log[Int(position)] { self.problems.append("\(position): wrong key") }
            self.checkOrder(of: position, session)
        }
        let held = self.fates.count { $0 == .held(session) }
        if Double(held) > part.rounded(.up) { self.problems.append("\(session) holds \(held) of \(part)") }
    }

    /// What a session may hold: by its members, of all that is held, waits and is due, or is proposed.
    private func part(of session: UInt64, _ proposal: Proposal) -> Double {
        let members = self.ledger.participants.map { Double($0.members) }
        let own = self.ledger.participants.filter { $0.session == session }.map { Double($0.members) }
        let waiting = self.ledger.waiting.count { !$0.isHeld && $0.due <= self.moment.monotonic }
        let fresh = proposal.positions.count { $0 >= self.ledger.frontier }
        let all = Double(self.ledger.inFlight + waiting + fresh)
        return members.count == 1 ? all : all * own.reduce(0, +) / members.reduce(0, +)
    }

    /// Whatever comes before an event under its key is done, or in the same hands.
    private mutating func checkOrder(of position: UInt64, _ session: UInt64) {
        guard let key = self.log[Int(position)], key != 0 else { return }
        for earlier in 0..<Int(position) where self.log[earlier] == key {
            switch self.fates[earlier] {
            case .finished, .dead, .held(session): continue
            default: self.problems.append("\(position) overtook \(earlier), which is \(self.fates[earlier])")
            }
        }
    }

    private mutating func report(_ session: UInt64) {
        var report = SessionReport()
        for grant in self.ledger.grants where grant.session == session {
            for gap in grant.finished.gaps(below: grant.positions.count) {
                for index in gap { self.settle(grant, index, &report) }
            }
            if Bool.random(using: &self.generator) { report.renewed.append(grant.number) }
        }
        let verdict = self.ledger.note(report, from: session, self.moment)
        if !verdict.stale.isEmpty { self.problems.append("a report of what is held was refused") }
        // Another session, and a second time: both are refused and change nothing.
        let before = LedgerCoding.encode(self.ledger)
        for thief in [session % 3 + 1, session] {
            var copy = report
            copy.renewed = []
            let refused = self.ledger.note(copy, from: thief, self.moment)
            let count = copy.finished.count + copy.failed.count + copy.released.count
            if refused.stale.count != count { self.problems.append("a stale report was taken") }
        }
        if LedgerCoding.encode(self.ledger) != before {
            self.problems.append("a stale report changed something")
        }
        self.commit()
        self.noteWaiting()
    }

    private mutating func settle(_ grant: Grant, _ index: Int, _ report: inout SessionReport) {
        let position = Int(grant.positions[index])
        switch Int.random(in: 0..<10, using: &self.generator) {
        case 0..<5:
            report.finished.append((grant.number, index..<index + 1))
            self.fates[position] = .finished
        case 5: report.released.append((grant.number, index..<index + 1))
        case 6, 7:
            report.failed.append(
                .init(
                    grant: grant.number, index: index, error: "no", delay: nil,
                    isFinal: Int.random(in: 0..<5, using: &self.generator) == 0))
        default: break
        }
    }

    private mutating func reclaim(dead: UInt64?) {
        _ = self.ledger.reclaim(self.moment) { $0 != dead }
        self.commit()
        self.noteWaiting()
    }

    private mutating func leave(_ session: UInt64) {
        self.ledger.leave(session)
        self.commit()
        self.noteWaiting()
    }

    private mutating func reboot() {
        self.moment.boot += 1
        self.moment.monotonic = 500
        self.reclaim(dead: nil)
    }

    /// Takes over from the ledger what is neither held nor finished any more: it must be waiting or dead.
    private mutating func noteWaiting() {
        let held = Set(
            self.ledger.grants.flatMap { grant in
                grant.finished.gaps(below: grant.positions.count).flatMap { gap in
                    gap.map { grant.positions[$0] }
                }
            })
        let waiting = Set(self.ledger.waiting.map(\.position))
        let dead = Set(
            self.shelf.records.keys.filter { $0.starts(with: ConsumerKeys.deadLetters(of: 1)) }
                .map { ConsumerKeys.lastNumber(of: $0.dropLast(8)) })
        for position in self.fates.indices {
            guard case .held = self.fates[position], !held.contains(UInt64(position)) else { continue }
            if waiting.contains(UInt64(position)) {
                self.fates[position] = .waiting
            } else if dead.contains(UInt64(position)) {
                self.fates[position] = .dead
            } else {
                self.problems.append("\(position) is lost")
            }
        }
    }

    mutating func commit() {
        self.shelf.write(&self.ledger)
        for entry in self.ledger.waiting where !entry.isHeld && self.fates[Int(entry.position)] == .untouched
        {
            self.fates[Int(entry.position)] = .waiting
        }
    }

    private mutating func reload() throws {
        let loaded = try LedgerStore.load(1, self.ledger.settings, in: self.shelf)
        if LedgerCoding.encode(loaded) != LedgerCoding.encode(self.ledger)
            || loaded.waiting != self.ledger.waiting || loaded.grants != self.ledger.grants
        {
            self.problems.append("what was written is not what was read")
        }
        self.ledger = loaded
    }

    private mutating func check() {
        let checkpoint = self.ledger.checkpoint
        if checkpoint < self.lastCheckpoint { self.problems.append("the offset went back") }
        self.lastCheckpoint = checkpoint
        for (position, fate) in self.fates.enumerated() {
            switch fate {
            case .held, .waiting:
                if UInt64(position) < checkpoint { self.problems.append("\(position) is below the offset") }
            case .untouched:
                if UInt64(position) < self.ledger.frontier { self.problems.append("\(position) was skipped") }
            case .finished, .dead: break
            }
        }
    }

    /// Handles everything that is left.
    mutating func drain() {
        self.ledger.isPaused = false
        // By one session that is alone, or by all of them.
        let isShared = Bool.random(using: &self.generator)
        for round in 0..<2000 {
            self.moment.monotonic += 10_000
            let session = isShared ? UInt64(round % 3 + 1) : 1
            self.grant(session, capacity: 5)
            var report = SessionReport()
            for grant in self.ledger.grants where grant.session == session {
                for gap in grant.finished.gaps(below: grant.positions.count) {
                    report.finished.append((grant.number, gap))
                    for index in gap { self.fates[Int(grant.positions[index])] = .finished }
                }
            }
            _ = self.ledger.note(report, from: session, self.moment)
            if !isShared {
                self.ledger.leave(2)
                self.ledger.leave(3)
            }
            self.commit()
            self.noteWaiting()
        }
        for (position, fate) in self.fates.enumerated() where fate != .finished && fate != .dead {
            self.problems.append("\(position) is \(fate) at the end")
        }
        if self.ledger.checkpoint != UInt64(self.log.count) {
            self.problems.append("the offset is not at the end")
        }
    }
}
