import Glibc
import Testing

@testable import TidelogStorage

@Suite("An assistant thread")
struct AssistantTests {
    // SAFETY: `finish` says which thread ran it, and nothing is read before it has returned.
    private final class Sum: Assistant.Work, @unchecked Sendable {
        private let numbers: Range<Int>
        var total: Int?

        init(_ numbers: Range<Int>) { self.numbers = numbers }

        func run() { self.total = self.numbers.reduce(self.total ?? 0, +) }
    }

    @Test("does the work once, or gives it back undone")
    func onceOrBack() {
        let assistant = Assistant()
        defer { assistant.stop() }
        var done = 0
        for round in 0..<2000 {
            let work = Sum(0..<round)
            guard assistant.offer(work) else {
                Issue.record("nobody else has the assistant")
                return
            }
            // Once in a while it is left the time to begin.
            if round % 10 == 0 { usleep(500) }
            if assistant.finish() { done += 1 } else { work.run() }
            #expect(work.total == (0..<round).reduce(0, +))
        }
        #expect(done > 0)
    }

    @Test("works for one at a time, and for nobody once it is stopped")
    func refusals() {
        let assistant = Assistant()
        let first = Sum(0..<10)
        #expect(assistant.offer(first))
        #expect(!assistant.offer(Sum(0..<10)))
        if !assistant.finish() { first.run() }
        #expect(first.total == 45)
        let last = Sum(0..<10)
        #expect(assistant.offer(last))
        assistant.stop()
        if !assistant.finish() { last.run() }
        #expect(last.total == 45)
        #expect(!assistant.offer(Sum(0..<10)))
    }
}
