import Foundation
import Testing
import TidelogTesting
import torture

/// Every call of a process that changes a file, a name, a map or a lock is a step. `make torture` takes every
/// fault at every step; here each run begins at a random one of the first few. A failure names its step.
@Suite(
    "A process that is interrupted at a step", .serialized,
    .enabled(if: Fault.isAvailable, "the sanitizers intercept the same calls"))
struct StepTests {
    private static func interrupt(
        _ scenario: Scenario, _ action: Fault.Action, error: Int32 = 0, every stride: Int
    ) async throws {
        let calls = try await Self.onThread { campaign in
            try campaign.run(scenario, action, error: error, from: .random(in: 0..<stride), every: stride)
        }
        #expect(calls > 3, "\(scenario) has hardly any steps: are the calls intercepted?")
    }

    /// Runs a campaign on a thread of its own: it waits for processes and for tasks, and these need the threads of
    /// the pool.
    private static func onThread(
        _ body: @escaping @Sendable (inout StepCampaign) throws -> Int
    ) async throws -> Int {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.string
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        var campaign = try StepCampaign(directory: path)
                        return try body(&campaign)
                    })
            }
        }
    }

    @Test(
        "killed at each step: what was acknowledged is there, nothing is torn or left over, and all goes on",
        arguments: Scenario.allCases)
    func killed(scenario: Scenario) async throws {
        try await Self.interrupt(scenario, .kill, every: 1)
    }

    @Test("killed in the middle of a write: the same", arguments: Scenario.allCases)
    func torn(scenario: Scenario) async throws {
        try await Self.interrupt(scenario, .tear, every: 3)
    }

    @Test(
        "a call fails with an error of the disk: it says so, and nothing acknowledged is lost, then and later",
        arguments: Scenario.allCases)
    func inputOutput(scenario: Scenario) async throws {
        try await Self.interrupt(scenario, .fail, error: EIO, every: 3)
    }

    @Test("a call finds the disk full: the same", arguments: Scenario.allCases)
    func noRoom(scenario: Scenario) async throws {
        try await Self.interrupt(scenario, .fail, error: ENOSPC, every: 4)
    }

    @Test(
        "the disk stays full from a step on: the same, and it goes on once there is room",
        arguments: Scenario.allCases)
    func full(scenario: Scenario) async throws {
        try await Self.interrupt(scenario, .full, every: 3)
    }

    @Test("a call finds no more descriptors: the same", arguments: Scenario.allCases)
    func noDescriptors(scenario: Scenario) async throws {
        try await Self.interrupt(scenario, .fail, error: EMFILE, every: 4)
    }

    @Test(
        "stopped before or behind a step while another process opens the log, then killed: the other one works",
        arguments: [
            Scenario.create, .open, .append, .seal, .compact, .retain, .project, .timers, .compensate,
        ],
        [Fault.Action.stop, .stopAfter])
    func whileAnotherOpens(scenario: Scenario, action: Fault.Action) async throws {
        // Opening is where LMDB can go wrong: every step of it.
        let stride = scenario == .create || scenario == .open ? 1 : 4
        let calls = try await Self.onThread { campaign in
            try campaign.race(scenario, action, from: .random(in: 0..<stride), every: stride)
        }
        #expect(calls > 3)
    }
}
