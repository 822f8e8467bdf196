import Testing

@testable import TidelogStorage

@Suite("Waiting for callers who come back")
struct CommitGroupingTests {
    private let start = ContinuousClock.now
    private static let sync: Duration = .microseconds(400)

    /// Answers so many callers while others are queued, and says for how many the writer waits then.
    private func goal(
        _ grouping: inout CommitGrouping, answered: Int, queued: Int, waiting: Int, after: Duration = .zero
    ) -> Int? {
        grouping.noteAnswers(answered, queued: queued, syncTime: Self.sync, at: self.start)
        return grouping.plan(waiting: waiting, at: self.start + after)?.goal
    }

    @Test("whoever is alone is not waited for, nor is anybody before the first answer")
    func alone() {
        var grouping = CommitGrouping()
        #expect(grouping.plan(waiting: 5, at: self.start) == nil)
        for _ in 0..<10 {
            #expect(self.goal(&grouping, answered: 1, queued: 0, waiting: 1) == nil)
        }
    }

    @Test("those who were answered are waited for together with those who queued, but for an eighth")
    func halves() {
        var grouping = CommitGrouping()
        #expect(self.goal(&grouping, answered: 32, queued: 32, waiting: 33) == 60)
        #expect(self.goal(&grouping, answered: 32, queued: 32, waiting: 60) == nil)
        #expect(self.goal(&grouping, answered: 1, queued: 1, waiting: 1) == 2)
    }

    @Test("the wait ends three quarters of a sync after the answer, or after two milliseconds")
    func patience() {
        var grouping = CommitGrouping()
        grouping.noteAnswers(8, queued: 8, syncTime: Self.sync, at: self.start)
        let plan = grouping.plan(waiting: 8, at: self.start + .microseconds(100))
        #expect(plan?.patience == .microseconds(200))
        #expect(self.goal(&grouping, answered: 8, queued: 8, waiting: 8, after: .microseconds(300)) == nil)
        grouping.noteAnswers(8, queued: 8, syncTime: .seconds(3), at: self.start)
        #expect(grouping.plan(waiting: 8, at: self.start)?.patience == .milliseconds(2))
    }

    @Test("after waits in vain it is tried less and less often, and as before once one was not in vain")
    func vain() {
        var grouping = CommitGrouping()
        var pauses: [Int] = []
        for _ in 0..<12 {
            var turns = 0
            while self.goal(&grouping, answered: 4, queued: 4, waiting: 4) == nil { turns += 1 }
            pauses.append(turns)
            grouping.noteWait(reached: false)
        }
        #expect(pauses == [0, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256])
        while self.goal(&grouping, answered: 4, queued: 4, waiting: 4) == nil {}
        grouping.noteWait(reached: true)
        #expect(self.goal(&grouping, answered: 4, queued: 4, waiting: 4) == 8)
        grouping.noteWait(reached: false)
        #expect(self.goal(&grouping, answered: 4, queued: 4, waiting: 4) == nil)
    }
}
