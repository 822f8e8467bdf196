import Foundation
import SystemPackage
import Testing
import Tidelog
import TidelogTesting
import torture

@Suite("A process that is killed while it works with the store", .serialized)
struct StoreKillTests {
    private static let seed = TestSeed.draw(for: "kills of a store") % 1_000_000

    @Test(
        "projection and offset, snapshot and stream, events, answers and timers never disagree",
        .timeLimit(.minutes(10)))
    func agreement() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        var random = SeededGenerator(seed: Self.seed)
        var events = 0
        var cycle = 0
        // However slowly its processes start, in the end there is enough to look at.
        while cycle < 20 || events < 150 {
            cycle += 1
            let child = try Child(
                ["store", path.string, "--seed", "\(Self.seed + UInt64(cycle))"],
                output: directory.path.string + "/child")
            _ = try child.waitForLine("OPEN")
            usleep(UInt32(random.below(60_000)))
            child.kill()
            let log = try await EventLog.open(at: path)
            do {
                events = try await StoreWork.check(log, acknowledged: child.lines())
            } catch {
                Issue.record("seed \(Self.seed), cycle \(cycle): \(error)")
            }
            await log.close()
            let failed = child.lines().filter { $0.hasPrefix("FAILED") }
            #expect(failed.isEmpty, "seed \(Self.seed), cycle \(cycle): \(failed)")
        }
        try await Self.expectTrips(path)
    }

    /// Lets all trips come to their end, and requires that each ended once, some well and some undone.
    private static func expectTrips(_ path: FilePath) async throws {
        let log = try await EventLog.open(at: path)
        let (done, undone) = try await Compensating.finish(log)
        #expect(done > 0 && undone > 0, "seed \(Self.seed): \(done) done, \(undone) undone")
        await log.close()
    }

    @Test("two processes work with the store on one log: everything still takes effect once")
    func twoProcesses() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        // The same version of the projection, so that both run the same state.
        let children = try [4, 5].map { seed in
            try Child(
                ["store", path.string, "--seed", "\(seed)"], output: directory.path.string + "/child-\(seed)")
        }
        for child in children { _ = try child.waitForLine("TALLY") }
        usleep(400_000)
        for child in children { child.kill() }
        let log = try await EventLog.open(at: path)
        let events = try await StoreWork.check(log, acknowledged: children.flatMap { $0.lines() })
        #expect(events > 20)
        for child in children { #expect(!child.lines().contains { $0.hasPrefix("FAILED") }) }
        await log.close()
        try await Self.expectTrips(path)
    }
}
