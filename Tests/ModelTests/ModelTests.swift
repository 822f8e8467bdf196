import Foundation
import Testing
import Tidelog
import TidelogTesting

@Suite("The log and its model")
struct ModelTests {
    /// One of these is new in each run; when it fails, its number is in the message.
    ///
    /// TIDELOG_SEED repeats one, or begins a campaign of TIDELOG_RUNS runs; TIDELOG_OPERATIONS makes them longer.
    static let seeds: [UInt64] = {
        guard let first = Self.setting("TIDELOG_SEED") else {
            return Array(1...8) + [.random(in: 100...1_000_000)]
        }
        return Array(first..<first + max(1, Self.setting("TIDELOG_RUNS") ?? 1))
    }()
    static let operations = Int(Self.setting("TIDELOG_OPERATIONS") ?? 250)

    private static func setting(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

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
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var run = try await ModelRun(seed: seed, hostileNames: hostileNames, directory: directory.path)
        do {
            try await run.play(operations: Self.operations)
        } catch {
            let steps = run.history.suffix(8).joined(separator: "\n  ")
            Issue.record("seed \(seed), operation \(run.history.count), after\n  \(steps)\n\(error)")
        }
    }
}
