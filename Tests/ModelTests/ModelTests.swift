import Testing
import Tidelog
import TidelogTesting

@Suite("The log and its model")
struct ModelTests {
    /// One of these is new in each run; when it fails, its number is in the message.
    static let seeds: [UInt64] = [1, 2, 3, 4, 5, 6, 7, 8, .random(in: 100...1_000_000)]

    @Test("random operations leave the log as they leave an array", arguments: Self.seeds)
    func plainNames(seed: UInt64) async throws {
        try await Self.play(seed: seed, hostileNames: false)
    }

    @Test("names that differ in bytes alone are different names, whatever is done", arguments: Self.seeds)
    func hostileNames(seed: UInt64) async throws {
        try await Self.play(seed: seed, hostileNames: true)
    }

    private static func play(seed: UInt64, hostileNames: Bool) async throws {
        print("model: seed \(seed), hostile names \(hostileNames)")
        try await withTemporaryLog { directory, _ in
            var run = try await ModelRun(seed: seed, hostileNames: hostileNames) {
                try await EventLog.open(at: directory, configuration: $0)
            }
            do {
                try await run.play(operations: 250)
            } catch {
                let steps = run.history.suffix(8).joined(separator: "\n  ")
                Issue.record("seed \(seed), operation \(run.history.count), after\n  \(steps)\n\(error)")
            }
        }
    }
}
