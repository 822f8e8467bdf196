import Testing
import Tidelog
import TidelogTesting

@Suite("Aggregates")
struct AggregateTests {
    private let store = InMemoryEventStore()
    private var accounts: Repository<Account, InMemoryEventStore> { Repository(self.store) }

    @Test("a command's events are stored under the names of their cases, and the state follows from them")
    func events() async throws {
        try await self.accounts.execute(.open, on: "7", metadata: ["user_id": "u"])
        try await self.accounts.execute(.deposit(20), on: "7")
        try await self.accounts.execute(.withdraw(5), on: "7")
        let stored = try await self.store.events(.stream("account-7"))
        #expect(stored.map(\.type) == ["account.opened", "account.deposited", "account.withdrawn"])
        #expect(stored.map { $0.payload.text } == ["{}", #"{"amount":20}"#, #"{"amount":5}"#])
        #expect(stored[0].metadata.userID == "u")
        let loaded = try await self.accounts.load("7")
        #expect(loaded.state == Account.State(balance: 15, bookings: 3))
        #expect(loaded.revision == 2)
        #expect(try await self.accounts.load("8").state == Account.initial)
    }

    @Test("a command that is refused, or that changes nothing, stores nothing")
    func refused() async throws {
        try await self.accounts.execute(.deposit(3), on: "7")
        await #expect(throws: Account.NotEnough(missing: 2)) {
            try await self.accounts.execute(.withdraw(5), on: "7")
        }
        let outcome = try await self.accounts.execute(.nothing, on: "7")
        #expect(outcome.events.isEmpty)
        #expect(try await self.store.count(.all) == 1)
    }

    private static func deposit(_ payload: String) -> Event {
        Event(type: "account.deposited", stream: "account-7", payload: EventPayload(json: payload))
    }

    @Test("many events are read as each by itself, and those of other kinds among them passed over")
    func manyAtOnce() async throws {
        let amounts = Array(1...2500)
        for start in stride(from: 0, to: amounts.count, by: 500) {
            var events = amounts[start..<start + 500].map { Self.deposit(#" {"amount": \#($0)} "#) }
            events.insert(Event(type: "other.kind", stream: "account-7", payload: .init(text: "]")), at: 7)
            try await self.store.append(events, if: .always)
        }
        let loaded = try await self.accounts.load("7")
        #expect(loaded.state == Account.State(balance: amounts.reduce(0, +), bookings: 2500))
        #expect(loaded.eventsRead == 2505)
        #expect(loaded.revision == 2504)
    }

    @Test(
        "payloads that are JSON only together with their neighbours are refused, each at its place",
        arguments: [
            [#"{"amount":1}"#, #"{"amount":2,"a":""#, #"","b":3}"#, #"{"amount":4}},{"opened":{}"#],
            [#"{"amount":1}"#, #"{"amount":2}},{"opened":{}"#, #"{"amount":3}"#],
            [#"{"amount":1}"#, #"{"amount":"two"}"#, #"{"amount":3}"#],
        ])
    func halves(payloads: [String]) async throws {
        try await self.store.append(payloads.map { Self.deposit($0) }, if: .always)
        let error = await #expect(throws: EventLogError.self) { try await self.accounts.load("7") }
        #expect(error?.code == .decodingFailed)
        #expect(error?.positions == 1..<2)
    }

    @Test("commands at once are decided one after the other: no withdrawal overdraws, none is lost")
    func concurrency() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var accounts = Repository<Account, EventLog>(log)
            accounts.maximumAttempts = 1000
            accounts.snapshotEvery = 5
            try await accounts.execute(.deposit(20), on: "1")
            let refused = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<30 {
                    group.addTask { [accounts] in
                        do {
                            try await accounts.execute(.withdraw(1), on: "1")
                            return false
                        } catch is Account.NotEnough {
                            return true
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(refused == 10)
            #expect(try await accounts.load("1").state == Account.State(balance: 0, bookings: 21))
            #expect(try await log.count() == 21)
            await log.close()
        }
    }

    @Test("after the last attempt the conflict is thrown")
    func attempts() async throws {
        // A command that, while it is decided, is always overtaken.
        enum Overtaken: Aggregate {
            static let name = "overtaken"
            static let initial = 0
            static func evolve(_ state: inout Int, _ change: String) { state += 1 }
            static func decide(_ command: @Sendable () -> Void, _ state: Int) throws -> [String] {
                command()
                return ["late"]
            }
        }
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let codec = EventCodec<String>(
                encode: { Event(type: "o.\($0)") }, decode: { $0.type.hasPrefix("o.") ? $0.type : nil })
            var repository = Repository<Overtaken, EventLog>(log, codec: codec)
            repository.maximumAttempts = 3
            await expectCode(.conflict) { [repository] in
                try await repository.execute(
                    { _ = try? log.appendBlocking([Event(type: "o.first")], to: "overtaken-1") }, on: "1")
            }
            #expect(try await log.count() == 3)
            await log.close()
        }
    }

    @Test("events are caused by what led to the command")
    func cause() async throws {
        let cause = Event(type: "order.placed", correlationID: "flow")
        try await self.accounts.execute(.open, on: "7", causedBy: cause)
        let stored = try await self.store.events(.stream("account-7"))
        #expect(stored.first?.event.correlationID == "flow")
        #expect(stored.first?.event.causationID == cause.id)
    }

    @Test("as of a position or a moment, the state is what it was")
    func past() async throws {
        for amount in 1...5 { try await self.accounts.execute(.deposit(amount), on: "7") }
        #expect(try await self.accounts.load("7", asOf: .position(2)).state.balance == 6)
        let third = try await self.store.events(.stream("account-7"))[2].timestamp
        #expect(try await self.accounts.load("7", asOf: .time(third)).state.balance >= 6)
        let never = StoreMoment.time(Timestamp(nanosecondsSinceEpoch: 0))
        #expect(try await self.accounts.load("7", asOf: never).revision == nil)
    }
}

@Suite("Snapshots")
struct SnapshotTests {
    private func opened(
        _ body: (EventLog, Repository<Account, EventLog>) async throws -> Void
    ) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var accounts = Repository<Account, EventLog>(log)
            accounts.snapshotEvery = 10
            for amount in 1...25 { try await accounts.execute(.deposit(amount), on: "1") }
            try await body(log, accounts)
            await log.close()
        }
    }

    @Test("every so many events one is kept, and loading begins there")
    func kept() async throws {
        try await self.opened { log, accounts in
            let loaded = try await accounts.load("1")
            #expect(loaded.snapshot == 19)
            #expect(loaded.eventsRead == 5)
            #expect(loaded.state == Account.State(balance: 325, bookings: 25))
            #expect(loaded.revision == 24)
            var without = accounts
            without.snapshotEvery = nil
            #expect(try await without.load("1").state == loaded.state)
        }
    }

    @Test("one of another schema, or that cannot be read, is passed over, and the events are read instead")
    func otherSchema() async throws {
        try await self.opened { log, accounts in
            let new = Repository<NewAccount, EventLog>(log)
            let loaded = try await new.load("1")
            #expect(loaded.snapshot == nil)
            #expect(loaded.eventsRead == 25)
            #expect(loaded.state.balance == 325)
            try await log.append(
                [], if: .always,
                snapshots: [.init(stream: "account-1", revision: 24, schema: "account/1", state: [1, 2])])
            #expect(try await accounts.load("1").eventsRead == 25)
        }
    }

    @Test("one of a stream that was deleted since brings nothing back")
    func deleted() async throws {
        try await self.opened { log, accounts in
            for _ in 0..<5 { try await accounts.execute(.deposit(1), on: "1") }
            #expect(try await accounts.load("1").snapshot == 29)
            try await log.delete(stream: "account-1")
            await expectCode(.streamDeleted) { _ = try await accounts.load("1") }
            var without = accounts
            without.snapshotEvery = nil
            await expectCode(.streamDeleted) { [without] in _ = try await without.load("1") }
        }
    }

    @Test("with a truncated stream, loading goes on from the snapshot")
    func truncated() async throws {
        try await self.opened { log, accounts in
            try await log.truncate(stream: "account-1", before: 15)
            #expect(try await accounts.load("1").state.balance == 325)
            try await log.truncate(stream: "account-1", before: 20)
            #expect(try await accounts.load("1").state.balance == 325)
        }
    }

    @Test("one that the events of a truncated stream do not follow on is passed over")
    func truncatedBeyond() async throws {
        try await self.opened { log, accounts in
            var without = accounts
            without.snapshotEvery = nil
            // The snapshot knows of revision 19; of 20 to 22 nothing tells any more.
            for first in [23, 25] as [Revision] {
                try await log.truncate(stream: "account-1", before: first)
                let loaded = try await accounts.load("1")
                let wanted = try await without.load("1")
                #expect(loaded.snapshot == nil)
                #expect(loaded.state == wanted.state && loaded.revision == wanted.revision)
            }
        }
    }

    @Test(
        "as of a moment of a truncated stream, the snapshot of before it counts; without it that is an error"
    )
    func truncatedPast() async throws {
        try await self.opened { log, accounts in
            var without = accounts
            without.snapshotEvery = nil
            try await log.truncate(stream: "account-1", before: 15)
            for (position, balance) in [(24, 325), (22, 276), (19, 210)] as [(Position, Int)] {
                let loaded = try await accounts.load("1", asOf: .position(position))
                #expect(loaded.state.balance == balance && loaded.snapshot == 19, "\(position)")
                #expect(loaded.revision?.rawValue == position.rawValue)
            }
            let now = try await accounts.load("1", asOf: .time(.now().advanced(by: .seconds(1))))
            #expect(now.state.balance == 325)
            // The snapshot is of later, and what is left of the events is not all.
            await expectCode(.notFound) { _ = try await accounts.load("1", asOf: .position(17)) }
            await expectCode(.notFound) { _ = try await accounts.load("1", asOf: .position(3)) }
            try await log.truncate(stream: "account-1", before: 20)
            #expect(try await accounts.load("1", asOf: .position(22)).state.balance == 276)
            await expectCode(.notFound) { _ = try await accounts.load("1", asOf: .position(19)) }
            // Without snapshots what is left tells the state, as it does for now.
            #expect(try await without.load("1", asOf: .position(24)).state == without.load("1").state)
            await expectCode(.notFound) { [without] in _ = try await without.load("1", asOf: .position(19)) }
            try await log.delete(stream: "account-1")
            await expectCode(.streamDeleted) { _ = try await accounts.load("1", asOf: .position(22)) }
        }
    }
}

@Suite("Upcasters")
struct UpcasterTests {
    private struct NameV1: Codable { var name: String }
    private struct NameV2: Codable { var first: String }
    private struct NameV3: Codable, Equatable { var first: String, last: String }

    private static var upcasters: Upcasters {
        var upcasters = Upcasters()
        upcasters.add("user.named", from: 1, as: NameV1.self, to: NameV2.self) { .init(first: $0.name) }
        upcasters.add("user.named", from: 2, as: NameV2.self, to: NameV3.self) {
            let words = $0.first.split(separator: " ")
            return .init(first: String(words[0]), last: words.dropFirst().joined(separator: " "))
        }
        return upcasters
    }

    private func stored(_ event: Event) -> StoredEvent { StoredEvent(event, position: 5, revision: 0) }

    @Test("an old version passes every step up to today's, and nothing but the payload and version changes")
    func chain() throws {
        let old = Event(type: "user.named", stream: "u", json: #"{"name":"Ada King"}"#)
        let new = try Self.upcasters.apply(to: self.stored(old))
        #expect(new.event.schemaVersion == 3)
        #expect(try new.payload.decode(as: NameV3.self) == NameV3(first: "Ada", last: "King"))
        #expect(new.id == old.id)
        #expect(new.position == 5)
        let today = Event(type: "user.named", json: "{}").withSchemaVersion(3)
        #expect(try Self.upcasters.apply(to: self.stored(today)).event == today)
    }

    @Test("one that throws, or that goes round, says at which event")
    func failing() throws {
        let bad = self.stored(Event(type: "user.named", json: "{}"))
        let error = #expect(throws: EventLogError.self) { try Self.upcasters.apply(to: bad) }
        #expect(error?.code == .decodingFailed)
        #expect(error?.positions == 5..<6)
        var round = Upcasters()
        round.add("a", from: 1) { $0.withSchemaVersion(2) }
        round.add("a", from: 2) { $0.withSchemaVersion(1) }
        expectCode(.decodingFailed) {
            _ = try round.apply(to: self.stored(Event(type: "a")))
        }
    }

    @Test("an aggregate reads events of an older version through them, and the stored bytes stay")
    func repository() async throws {
        let store = InMemoryEventStore()
        let old = Event(type: "account.paid_in", stream: "account-1", json: #"{"cents":5}"#)
        try await store.append([old], if: .always)
        struct PaidIn: Codable { var cents: Int }
        var upcasters = Upcasters()
        upcasters.add("account.paid_in", from: 1) { event in
            var event = event
            let cents = try event.payload.decode(as: PaidIn.self).cents
            event.type = "account.deposited"
            event.payload = .init(json: #"{"amount":\#(cents)}"#)
            return event
        }
        let accounts = Repository<Account, InMemoryEventStore>(store, upcasters: upcasters)
        #expect(try await accounts.load("1").state.balance == 5)
        #expect(try await store.events(.all).map(\.event) == [old])
        // Without them the event is none that the domain knows: an error that names its place.
        let plain = Repository<Account, InMemoryEventStore>(store)
        let error = await #expect(throws: EventLogError.self) { try await plain.load("1") }
        #expect(error?.code == .decodingFailed)
        #expect(error?.positions == 0..<1)
    }
}
