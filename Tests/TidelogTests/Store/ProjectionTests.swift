import Testing
import Tidelog
import TidelogTesting

@Suite("Projections")
struct ProjectionTests {
    @Test(
        "the state is what the function makes of the events, whatever the size of a batch",
        arguments: [1, 2, 7, 1000])
    func state(batch: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(
                ProjectionSample.numbers(0..<7) + [Event(type: "other")] + ProjectionSample.numbers(7..<20))
            let status = try await log.catchUp(ProjectionSample.sums(batch: batch))
            #expect(
                try await ProjectionSample.entries(log) == [
                    "count=12", "sum/s0=63", "sum/s1=70", "sum/s2=57",
                ])
            #expect(status.next == 21)
            #expect(status.lag == 0)
            #expect(status.applied == 20)
            #expect(status.updatedAt != nil)
            try await log.append(ProjectionSample.numbers(20..<22))
            #expect(try await log.projection("sums").status()?.lag == 2)
            try await log.catchUp(ProjectionSample.sums(batch: batch))
            #expect(try await log.projection("sums").integer("count") == 14)
            #expect(try await log.projections().map(\.name) == ["sums"])
            await log.close()
        }
    }

    @Test("is asked by range: from a key on, up to another, a page at a time, by the bytes of the keys")
    func ranges() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let keys = ["a", "a/1", "a/2", "a0", "b", "ä"]
            try await log.append(keys.map { Event(type: "n.x", payload: .init(text: $0)) })
            try await log.catchUp(
                Projection("keys", of: .all) { stored, state in
                    try state.add(1, to: stored.payload.text ?? "")
                })
            let reader = log.projection("keys")
            func found(_ low: String, _ high: String, limit: Int = 1000) async throws -> [String] {
                try await reader.entries(from: low, to: high, limit: limit).map(\.key)
            }
            #expect(try await found("a/1", "b") == ["a/1", "a/2", "a0"])
            #expect(try await found("", "a") == [])
            #expect(try await found("a", "\u{10FFFF}") == keys)
            #expect(try await found("a", "z", limit: 2) == ["a", "a/1"])
            #expect(try await found("b", "a") == [])
            #expect(try await reader.entries(prefix: "a/", after: "a/1").map(\.key) == ["a/2"])
            await log.close()
        }
    }

    @Test(
        "many events, sealed and not, make the state that they make one by one, owned and lent",
        arguments: [false, true])
    func many(isLent: Bool) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var expected: [String: Int64] = [:]
            for batch in 0..<15 {
                let numbers = batch * 2000..<batch * 2000 + 2000
                for number in numbers { expected["sum/s\(number % 701)", default: 0] += Int64(number) }
                try await log.append(
                    numbers.map {
                        Event(type: "n.x", stream: "s\($0 % 701)", payload: .init(text: "\($0)"))
                    })
                if batch == 9 { try await log.seal() }
            }
            let projection =
                isLent
                ? Projection("many", viewing: .all) { view, state in
                    let text = try view.withPayload { bytes in
                        bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
                    }
                    try state.add(Int64(text) ?? 0, to: "sum/\(view.stream ?? "")")
                }
                : Projection("many", of: .all) { stored, state in
                    try state.add(Int64(stored.payload.text ?? "") ?? 0, to: "sum/\(stored.stream ?? "")")
                }
            for _ in 0..<2 {
                let status = try await log.rebuild(projection)
                #expect(status.applied == 30_000 && status.next == 30_000)
                let found = try await log.projection("many").entries()
                #expect(found.count == 701)
                for (key, value) in found { #expect(value.integer == expected[key], "\(key)") }
            }
            await log.close()
        }
    }

    @Test("it goes on where it was after the log was opened again, without counting anything twice")
    func reopened() async throws {
        try await withTemporaryLog { _, open in
            for round in 0..<3 {
                let log = try await open(.init())
                try await log.append(ProjectionSample.numbers(100..<110))
                try await log.catchUp(ProjectionSample.sums())
                #expect(try await log.projection("sums").integer("count") == Int64(10 * (round + 1)))
                await log.close()
            }
        }
    }

    @Test("a running one follows the log, and one can wait for what one has written")
    func running() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(100..<105))
            let running = try await log.start(ProjectionSample.sums())
            for round in 1...20 {
                let result = try await log.append(ProjectionSample.numbers(100..<101))
                await running.waitUntil(result.positions.lowerBound)
                #expect(try await log.projection("sums").integer("count") == Int64(5 + round))
            }
            await running.stop()
            try await log.append(ProjectionSample.numbers(100..<101))
            #expect(try await log.projection("sums").status()?.lag == 1)
            await log.close()
        }
    }

    @Test("two that run the same one at once count each event once")
    func twice() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let first = try await log.start(ProjectionSample.sums(batch: 3))
            let second = try await log.start(ProjectionSample.sums(batch: 5))
            for number in 0..<50 {
                try await log.append(ProjectionSample.numbers(100 + number..<110 + number))
            }
            let end = try await log.end()
            await first.waitUntil(end.advanced(by: -1))
            await second.waitUntil(end.advanced(by: -1))
            #expect(try await log.projection("sums").integer("count") == 500)
            #expect(try await log.projection("sums").status()?.applied == 500)
            await first.stop()
            await second.stop()
            await log.close()
        }
    }

    @Test(
        "names and keys that cannot be are refused",
        arguments: ["", "a\u{0}b", String(repeating: "x", count: 65)])
    func badNames(name: String) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "t"))
            let projection = Projection(name, of: .all) { _, _ in }
            await expectCode(.invalidArgument) { try await log.catchUp(projection) }
            await expectCode(.invalidArgument) { _ = try await log.start(projection) }
            let key = Projection("ok", of: .all) { _, state in
                try state.set(String(repeating: "k", count: 401), .integer(1))
            }
            await expectCode(.projectionFailed) { try await log.catchUp(key) }
            await log.close()
        }
    }

    @Test("events lent as views, and events of a domain, make the same state as owned ones")
    func kinds() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let accounts = Repository<Account, EventLog>(log)
            for amount in 1...10 { try await accounts.execute(.deposit(amount), on: "\(amount % 2)") }
            try await log.catchUp(
                Projection("typed", codec: .cases(prefix: "account") as EventCodec<Account.Change>) {
                    change, stored, state in
                    if case .deposited(let amount) = change {
                        try state.add(Int64(amount), to: stored.stream ?? "")
                    }
                })
            try await log.catchUp(
                Projection("views", viewing: .all) { view, state in
                    let text = try view.withPayload { bytes in
                        bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
                    }
                    let amount = Int64(text.filter(\.isNumber)) ?? 0
                    try state.add(amount, to: view.stream ?? "")
                })
            #expect(try await ProjectionSample.entries(log, "typed") == ["account-0=30", "account-1=25"])
            #expect(try await ProjectionSample.entries(log, "views") == ["account-0=30", "account-1=25"])
            await log.close()
        }
    }
}
