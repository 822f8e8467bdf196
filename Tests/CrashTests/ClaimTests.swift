import Foundation
import Testing
import Tidelog
import TidelogTesting
import torture

@Suite("Processes that append under one condition", .serialized)
struct ClaimTests {
    private static let seed = TestSeed.draw(for: "kills of racers") % 1_000_000

    /// What a racer said of each round: where its event is, or nil where it lost.
    private static func answers(_ lines: [String]) -> [(round: Int, position: UInt64?)] {
        lines.filter { $0.hasPrefix("CLAIM ") }.map { line in
            let words = line.split(separator: " ")
            return (Int(words[1]) ?? -1, words.count == 4 ? UInt64(words[3]) : nil)
        }
    }

    /// Requires that the log has one winner for each round, and that no answer says otherwise.
    private static func check(
        _ log: EventLog, rounds: Int, _ lines: [String: [String]]
    ) async throws -> [String: Int] {
        let events = try await log.events(.types("seat.taken"))
        #expect(events.count == rounds)
        var winners: [String: Int] = [:]
        for round in 0..<rounds {
            let taken = events.filter { $0.event.correlationID == Claiming.seat(round) }
            #expect(taken.count == 1, "seat \(round) was taken by \(taken.map(\.event.id))")
            guard let stored = taken.first, let name = stored.stream?.dropFirst(3) else { continue }
            winners[String(name), default: 0] += 1
            for (racer, said) in lines {
                for answer in Self.answers(said) where answer.round == round {
                    let truth = racer == name ? stored.position.rawValue : nil
                    #expect(answer.position == truth, "\(racer) of seat \(round), which \(name) has")
                }
            }
        }
        return winners
    }

    @Test("of two that race for the same one wins each race, and both are told so")
    func races() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        let rounds = 400
        let children = try ["a", "b"].map { name in
            try Child(
                ["claim", path.string, "--name", name, "--rounds", "\(rounds)"],
                output: directory.path.string + "/" + name)
        }
        for child in children { _ = try child.waitForLine("OPEN") }
        try await log.append(Claiming.start(in: 100))
        for child in children { #expect(child.wait() == 0, "\(child.lines().suffix(2))") }
        let lines = ["a": children[0].lines(), "b": children[1].lines()]
        for said in lines.values { #expect(Self.answers(said).count == rounds) }
        let winners = try await Self.check(log, rounds: rounds, lines)
        #expect(winners.count == 2, "one has won all, so nobody raced: \(winners)")
        await log.close()
    }

    @Test("racers that are killed and begin anew take no seat twice, and lose none that they had")
    func kills() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        let rounds = 300
        var random = SeededGenerator(seed: Self.seed)
        var started = 0
        func start(_ name: String) throws -> Child {
            started += 1
            return try Child(
                ["claim", path.string, "--name", name, "--rounds", "\(rounds)"],
                output: directory.path.string + "/\(name)-\(started)")
        }
        var lines: [String: [String]] = [:]
        let names = ["a", "b"]
        var children = try names.map(start)
        for child in children { _ = try child.waitForLine("OPEN") }
        try await log.append(Claiming.start(in: 50))
        for _ in 0..<12 {
            try await Task.sleep(for: .microseconds(random.below(90_000)))
            let victim = random.below(2)
            children[victim].kill()
            lines[names[victim], default: []] += children[victim].lines()
            children[victim] = try start(names[victim])
        }
        for (name, child) in zip(names, children) {
            #expect(child.wait() == 0, "seed \(Self.seed): \(child.lines().suffix(2))")
            lines[name, default: []] += child.lines()
        }
        _ = try await Self.check(log, rounds: rounds, lines)
        await log.close()
    }
}
