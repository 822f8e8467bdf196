// State that is nothing but its events: an account, loaded, decided upon, appended to.
import Testing
import Tidelog
import TidelogTesting

struct Account {
    private(set) var balance = 0

    enum Refusal: Error { case notEnough }

    mutating func apply(_ event: Event) {
        let cents = event.metadata["cents"]?.integer.map { Int($0) } ?? 0
        switch event.type {
        case "account.credited": self.balance += cents
        case "account.debited": self.balance -= cents
        default: break
        }
    }

    func debit(_ cents: Int) throws -> Event {
        guard cents <= self.balance else { throw Refusal.notEnough }
        return Event(type: "account.debited", metadata: ["cents": .integer(Int64(cents))])
    }
}

extension BasicUse {
    @Test("event sourcing: load a stream, decide, append with the revision that was seen")
    func eventSourcing() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)  // what is appended through the log is published, too
            let credited = Event(type: "account.credited", metadata: ["cents": 1000])
            try await log.append([credited], to: "account-1", expecting: .noStream)

            var account = Account()
            var revision: Revision?
            for try await stored in log.read(.stream("account-1")) {
                account.apply(stored.event)
                revision = stored.revision
            }
            let seen = try #require(revision)
            try await log.append([account.debit(300)], to: "account-1", expecting: .exact(seen))

            // Somebody else who decided on the same state is refused, and has to look again.
            let late = try account.debit(900)
            await #expect(throws: EventLogError.self) {
                try await log.append([late], to: "account-1", expecting: .exact(seen))
            }
            var now = Account()
            for try await stored in log.read(.stream("account-1")) { now.apply(stored.event) }
            #expect(now.balance == 700)
            await bus.close()
            await log.close()
        }
    }
}
