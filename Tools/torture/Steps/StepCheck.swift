import Foundation
import SystemPackage
import Tidelog
import TidelogStorage

/// Looks at what a scenario has left: what was acknowledged is there, nothing is torn, and all goes on.
struct StepCheck {
    let scenario: Scenario
    let place: Workplace
    /// What the processes said.
    let lines: [String]

    private func said(_ word: String) -> Bool {
        self.lines.contains { $0 == word || $0.hasPrefix(word + " ") }
    }

    func run() throws {
        if self.scenario == .transform { try self.checkTransformed() }
        if self.scenario.isOfStore {
            try StoreSteps(place: self.place).check(self.scenario, self.lines)
        } else if self.scenario == .restore {
            try self.checkRestored()
        } else {
            try self.checkLog()
        }
        if self.scenario == .backup { try self.checkBackup() }
    }

    // MARK: The log

    private func checkLog() throws {
        var log = try self.place.open()
        let found = try log.eventsBlocking()
        try self.checkEvents(found)
        try self.checkFiles(log)
        // It goes on: what is missing of the scenario is appended, all of it is sealed.
        let first = self.scenario == .create ? 0 : Workplace.events
        try self.place.append(log, from: first)
        _ = try log.engine.seal()
        log.closeBlocking()
        var options = VerificationOptions()
        options.isDeep = true
        let outcome = try Verification.run(directory: self.place.log, options: options)
        guard outcome.isClean, !outcome.findings.contains(where: { $0.kind == .extraFile }) else {
            throw Failure("verify: \(outcome.findings.map(\.message))")
        }
        log = try self.place.open()
        defer { log.closeBlocking() }
        let all = try log.eventsBlocking()
        try self.checkEvents(all)
        let last = first + Workplace.batches.reduce(0, +) - 1
        guard Self.number(all.last { Self.number($0) != nil }) == last else {
            throw Failure("after going on the log ends with \(all.last?.event.id as Any)")
        }
    }

    private static func number(_ stored: StoredEvent?) -> Int? {
        guard let id = stored?.event.id.description, id.hasPrefix("e-") else { return nil }
        return Int(id.dropFirst(2))
    }

    private func checkEvents(_ found: [StoredEvent]) throws {
        let isTruncated = self.scenario == .truncate
        let mayBeCut = self.scenario == .retain
        var next: UInt64 = found.first?.position.rawValue ?? 0
        guard next == 0 || (mayBeCut && next == UInt64(Workplace.retained)) else {
            throw Failure("the log begins at \(next)")
        }
        if mayBeCut, self.said("RETAINED"), next == 0 { throw Failure("what was to be dropped is there") }
        var number = Int(next)
        var places: [UInt64: String] = [:]
        var hidden = 0
        for stored in found {
            let position = stored.position.rawValue
            places[position] = stored.event.id.description
            // Only truncated events may be missing, and all of them at once.
            while position != next, isTruncated, Self.isTruncated(number) {
                (next, number, hidden) = (next + 1, number + 1, hidden + 1)
            }
            guard position == next else { throw Failure("position \(next) is missing, \(position) follows") }
            next += 1
            guard let its = Self.number(stored) else { continue }  // somebody else's
            guard its == number else {
                throw Failure("e-\(its) stands at \(position), after e-\(number - 1)")
            }
            guard stored.event == Workplace.event(number), stored.revision?.rawValue == UInt64(number / 7)
            else {
                throw Failure("e-\(number) is not what was appended: \(stored)")
            }
            number += 1
        }
        guard hidden == 0 || hidden == Int(Workplace.truncated.revision) else {
            throw Failure("\(hidden) events are hidden, and \(Workplace.truncated.revision) were to be")
        }
        if self.said("TRUNCATED"), hidden == 0 {
            throw Failure("the truncation that was acknowledged is lost")
        }
        try self.checkAcknowledged(places)
        try self.checkBorder(number)
    }

    private static func isTruncated(_ number: Int) -> Bool {
        "s\(number % 7)" == Workplace.truncated.stream && number / 7 < Int(Workplace.truncated.revision)
    }

    private func checkAcknowledged(_ places: [UInt64: String]) throws {
        for line in self.lines {
            let words = line.split(separator: " ").map(String.init)
            guard let position = words.count > 2 ? UInt64(words.count == 3 ? words[2] : words[1]) : nil else {
                continue
            }
            switch words[0] {
            case "ACK":
                guard let first = Int(words[2]), let count = Int(words[3]) else { continue }
                for index in 0..<count where places[position + UInt64(index)] != "e-\(first + index)" {
                    throw Failure("acknowledged and lost: e-\(first + index) at \(position + UInt64(index))")
                }
            case "ONCE":
                guard places[position] == words[1] else {
                    throw Failure("acknowledged and lost: \(words[1]) at \(position)")
                }
            default: continue
            }
        }
    }

    /// Batches are there whole.
    private func checkBorder(_ end: Int) throws {
        var border = self.scenario == .create ? 0 : Workplace.events
        if border == end { return }
        for count in Workplace.batches {
            border += count
            if border == end { return }
        }
        throw Failure("a batch is torn: the log ends before e-\(end)")
    }

    /// Nothing is left lying about once the log is open.
    private func checkFiles(_ log: EventLog) throws {
        let named = try log.engine.currentView().catalogue.segments.map(\.fileName)
        let there = try FileManager.default.contentsOfDirectory(atPath: self.place.log + "/segments")
        guard named.sorted() == there.sorted() else {
            throw Failure("the catalogue has \(named), the directory \(there)")
        }
        let top = try FileManager.default.contentsOfDirectory(atPath: self.place.log)
        guard !top.contains(where: { $0.contains(".tmp") }) else { throw Failure("left over: \(top)") }
    }

    // MARK: Backups

    private func checkBackup() throws {
        let manifest = try Restore.check(self.place.backup)
        let ends = self.said("BACKED-UP") ? [Workplace.events] : [Workplace.backedUp, Workplace.events]
        guard ends.contains(Int(manifest.positions.upperBound)) else {
            throw Failure("the backup ends at \(manifest.positions.upperBound)")
        }
        try self.checkCopy(end: Int(manifest.positions.upperBound))
    }

    private func checkRestored() throws {
        try self.checkCopy(end: Workplace.backedUp)
    }

    /// The restored log is whole; where it is not there, restoring succeeds.
    private func checkCopy(end: Int) throws {
        do throws(StorageError) {
            _ = try Restore.run(from: self.place.backup, to: self.place.restored)
            guard !self.said("DONE") || self.scenario != .restore else {
                throw StorageError(.notFound, "the restored log was done and is gone")
            }
        } catch {
            guard error.code == .alreadyExists else { throw error }
        }
        let copy = try EventLog.openBlocking(
            at: FilePath(self.place.restored), configuration: Workplace.configuration)
        defer { copy.closeBlocking() }
        let found = try copy.eventsBlocking()
        guard found.count == end,
            found.enumerated().allSatisfy({ index, stored in
                stored.position.rawValue == UInt64(index) && stored.event == Workplace.event(index)
            })
        else { throw Failure("the restored log has \(found.count) events") }
    }
}
