import Synchronization
import Testing
import Tidelog
import TidelogStorage
import TidelogTesting

@Suite("Projections")
struct ProjectionTests {
    /// Counts events and sums numbers by stream.
    static func sums(version: UInt32 = 1, factor: Int64 = 1, batch: Int = 16_384) -> Projection {
        var projection = Projection("sums", version: version, of: .types("n.*")) { stored, state in
            let number = Int64(stored.payload.text ?? "") ?? 0
            if number < 0 {
                // What was done for this event before it fails must leave no trace.
                try state.add(1000, to: "sum/\(stored.stream ?? "")")
                throw Refused()
            }
            try state.add(number * factor, to: "sum/\(stored.stream ?? "")")
            try state.add(1, to: "count")
            if number == 7 { try state.remove("count") }
        }
        projection.batchEvents = batch
        return projection
    }

    struct Refused: Error {}

    static func numbers(_ range: Range<Int>) -> [Event] {
        range.map { Event(type: "n.x", stream: "s\($0 % 3)", payload: .init(text: "\($0)")) }
    }

    static func entries(_ log: EventLog, _ name: String = "sums") async throws -> [String] {
        try await log.projection(name).entries().map { "\($0.key)=\($0.value.integer ?? -1)" }
    }

    @Test(
        "the state is what the function makes of the events, whatever the size of a batch",
        arguments: [1, 2, 7, 1000])
    func state(batch: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(0..<7) + [Event(type: "other")] + Self.numbers(7..<20))
            let status = try await log.catchUp(Self.sums(batch: batch))
            #expect(try await Self.entries(log) == ["count=12", "sum/s0=63", "sum/s1=70", "sum/s2=57"])
            #expect(status.next == 21)
            #expect(status.lag == 0)
            #expect(status.applied == 20)
            #expect(status.updatedAt != nil)
            try await log.append(Self.numbers(20..<22))
            #expect(try await log.projection("sums").status()?.lag == 2)
            try await log.catchUp(Self.sums(batch: batch))
            #expect(try await log.projection("sums").integer("count") == 14)
            #expect(try await log.projections().map(\.name) == ["sums"])
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

    @Test(
        "of many events, the state is as of the one before the first that fails",
        arguments: [0, 12_345, 29_999])
    func failsAmongMany(at failing: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let numbers = (0..<30_000).map { $0 == failing ? -1 : $0 + 10 }
            try await log.append(
                numbers.map { Event(type: "n.x", stream: "s", payload: .init(text: "\($0)")) })
            try await log.seal()
            await #expect(throws: EventLogError.self) {
                try await log.catchUp(Self.sums(batch: 100_000))
            }
            let before = numbers[..<failing].reduce(0) { $0 + Int64($1) }
            #expect(
                try await log.projection("sums").integer("sum/s") == (failing == 0 ? nil : before))
            #expect(try await log.projection("sums").status()?.failure?.position == Position(UInt64(failing)))
            await log.close()
        }
    }

    @Test("keys that look alike have values of their own, and many of them keep theirs")
    func keys() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<3000).map { Event(type: "n.x", payload: .init(text: "\($0)")) })
            let long = String(repeating: "k", count: 396)
            let projection = Projection("keys", of: .all) { stored, state in
                let number = Int64(stored.payload.text ?? "") ?? 0
                try state.set("\(long)\(number % 1000)", .integer(number))
                try state.add(1, to: "\u{E9}")
                try state.add(2, to: "e\u{301}")
                if number % 1000 == 999 { try state.remove("\(long)0") }
                if number == 5 { try state.set("bytes", .bytes([1])) }
                if number == 6 { try state.add(4, to: "bytes") }
            }
            try await log.catchUp(projection)
            let state = log.projection("keys")
            #expect(try await state.integer("\u{E9}") == 3000)
            #expect(try await state.integer("e\u{301}") == 6000)
            #expect(try await state.integer("bytes") == 4)
            #expect(try await state.integer("\(long)0") == nil)
            for number in Int64(1)..<1000 {
                #expect(try await state.integer("\(long)\(number)") == 2000 + number)
            }
            await log.close()
        }
    }

    @Test("it goes on where it was after the log was opened again, without counting anything twice")
    func reopened() async throws {
        try await withTemporaryLog { _, open in
            for round in 0..<3 {
                let log = try await open(.init())
                try await log.append(Self.numbers(100..<110))
                try await log.catchUp(Self.sums())
                #expect(try await log.projection("sums").integer("count") == Int64(10 * (round + 1)))
                await log.close()
            }
        }
    }

    @Test("a running one follows the log, and one can wait for what one has written")
    func running() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(100..<105))
            let running = try await log.start(Self.sums())
            for round in 1...20 {
                let result = try await log.append(Self.numbers(100..<101))
                await running.waitUntil(result.positions.lowerBound)
                #expect(try await log.projection("sums").integer("count") == Int64(5 + round))
            }
            await running.stop()
            try await log.append(Self.numbers(100..<101))
            #expect(try await log.projection("sums").status()?.lag == 1)
            await log.close()
        }
    }

    @Test("two that run the same one at once count each event once")
    func twice() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let first = try await log.start(Self.sums(batch: 3))
            let second = try await log.start(Self.sums(batch: 5))
            for number in 0..<50 { try await log.append(Self.numbers(100 + number..<110 + number)) }
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
        "one that throws stops alone, as of the event before, and says at which event; a repaired one goes on",
        arguments: [1, 4, 1000])
    func throwing(batch: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(10..<20))
            try await log.append([Event(id: "bad", type: "n.bad", stream: "s0", payload: .init(text: "-1"))])
            try await log.append(Self.numbers(20..<25))
            let other = try await log.start(
                Projection("other", of: .all) { _, state in try state.add(1, to: "count") })
            let error = await #expect(throws: EventLogError.self) {
                try await log.catchUp(Self.sums(batch: batch))
            }
            #expect(error?.code == .projectionFailed)
            #expect(error?.positions == 10..<11)
            let status = try await log.projection("sums").status()
            #expect(status?.next == 10)
            #expect(status?.applied == 10)
            #expect(status?.failure?.eventID == "bad")
            #expect(status?.failure?.type == "n.bad")
            #expect(status?.failure?.message.contains("Refused") == true)
            #expect(try await log.projection("sums").integer("count") == 10)
            #expect(try await log.projection("sums").integer("sum/s0") == 45)
            await other.waitUntil(15)
            #expect(try await log.projection("other").integer("count") == 16)
            await other.stop()
            // The same version of the function, repaired: it goes on from the event.
            let repaired = Projection("sums", of: .types("n.*")) { _, state in try state.add(1, to: "count") }
            let after = try await log.catchUp(repaired)
            #expect(after.failure == nil)
            #expect(try await log.projection("sums").integer("count") == 16)
            await log.close()
        }
    }

    @Test("an upcaster that throws stops the projection that reads through it, and no other")
    func throwingUpcaster() async throws {
        struct Lost: Error {}
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(0..<3))
            try await log.append(Event(id: "old", type: "n.old", stream: "s0").withSchemaVersion(1))
            var upcasters = Upcasters()
            upcasters.add("n.old", from: 1) { _ in throw Lost() }
            let counting = { (name: String, upcasters: Upcasters) in
                Projection(name, of: .types("n.*"), upcasters: upcasters) { _, state in
                    try state.add(1, to: "count")
                }
            }
            let other = try await log.start(counting("other", .init()))
            let error = await #expect(throws: EventLogError.self) {
                try await log.catchUp(counting("through", upcasters))
            }
            #expect(error?.code == .projectionFailed && error?.positions == 3..<4)
            #expect(try await log.projection("through").integer("count") == 3)
            #expect(try await log.projection("through").status()?.failure?.eventID == "old")
            try await log.append(Self.numbers(3..<5))
            await other.waitUntil(5)
            #expect(try await log.projection("other").integer("count") == 6)
            await other.stop()
            await log.close()
        }
    }

    @Test("a rebuild leaves the live state to be asked until it is done, and then takes its place")
    func rebuild() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(10..<30))
            try await log.catchUp(Self.sums())
            let before = try await Self.entries(log)
            // The function of the rebuild looks at the live state at each event: it must be the old one.
            let seen = Counter()
            let slow = Projection("sums", version: 2, of: .types("n.*")) { stored, state in
                try state.add(10, to: "tens")
                seen.add(1)
            }
            var small = slow
            small.batchEvents = 3
            async let rebuilt = log.rebuild(small)
            while seen.value < 20 {
                let now = try await Self.entries(log)
                #expect(now == before || now == ["tens=200"])
                await Task.yield()
            }
            let status = try await rebuilt
            #expect(status.version == 2)
            #expect(status.building == nil)
            #expect(try await Self.entries(log) == ["tens=200"])
            // Nothing of the old generation is left in the head.
            let left = try log.engine.readingRecords { view throws(StorageError) in
                var count = 0
                try view.forEach(.projections, prefix: [2]) { _, _ in
                    count += 1
                    return true
                }
                return count
            }
            #expect(left == 1)
            await log.close()
        }
    }

    @Test(
        "a running one of the version that a rebuild made live goes on with its state; an older version gives way"
    )
    func rebuildWhileRunning() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(10..<20))
            let running = try await log.start(Self.sums())
            await running.waitUntil(9)
            try await log.rebuild(Self.sums())
            let result = try await log.append(Self.numbers(20..<30))
            await running.waitUntil(result.positions.upperBound.advanced(by: -1))
            #expect(try await log.projection("sums").integer("count") == 20)
            await running.stop()
            // Starting a new version builds it and switches by itself.
            let newer = try await log.start(Self.sums(version: 2, factor: 2))
            await newer.waitUntil(19)
            #expect(try await log.projection("sums").integer("sum/s0") == 2 * 117)
            await newer.stop()
            await expectCode(.conflict) { try await log.catchUp(Self.sums()) }
            let older = try await log.start(Self.sums())
            await expectCode(.conflict) { try await older.waitUntilStopped() }
            #expect(try await log.projection("sums").status()?.version == 2)
            // Going back is a rebuild.
            try await log.rebuild(Self.sums())
            #expect(try await log.projection("sums").integer("sum/s0") == 117)
            await log.close()
        }
    }

    @Test("a rebuild that throws leaves the live state as it is")
    func failedRebuild() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.numbers(10..<20))
            try await log.catchUp(Self.sums())
            let before = try await Self.entries(log)
            await expectCode(.projectionFailed) {
                try await log.rebuild(Projection("sums", version: 2, of: .all) { _, _ in throw Refused() })
            }
            #expect(try await Self.entries(log) == before)
            #expect(try await log.projection("sums").status()?.version == 1)
            await log.close()
        }
    }

    @Test("values of every kind, by key, prefix and range, a page at a time")
    func reading() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<10).map { Event(type: "k", payload: .init(text: "\($0)")) })
            struct Value: Codable, Equatable { var number: Int }
            try await log.catchUp(
                Projection("kv", of: .all) { stored, state in
                    let number = Int(stored.payload.text ?? "") ?? 0
                    try state.encode("json/\(number)", Value(number: number))
                    try state.set("bytes/\(number)", .bytes([UInt8(number)]))
                    #expect(try state.decode("json/\(number)", as: Value.self) == Value(number: number))
                })
            let reader = log.projection("kv")
            #expect(try await reader.decode("json/3", as: Value.self) == Value(number: 3))
            #expect(try await reader.value("bytes/4") == .bytes([4]))
            #expect(try await reader.value("none") == nil)
            #expect(try await reader.entries(prefix: "json/").count == 10)
            let page = try await reader.entries(prefix: "json/", after: "json/3", limit: 2)
            #expect(page.map(\.key) == ["json/4", "json/5"])
            let range = try await reader.entries(from: "bytes/8", to: "json/2")
            #expect(range.map(\.key) == ["bytes/8", "bytes/9", "json/0", "json/1"])
            await expectCode(.invalidArgument) { _ = try await reader.entries(limit: 0) }
            await expectCode(.invalidArgument) { _ = try await reader.value("") }
            #expect(try await log.projection("none").entries().isEmpty)
            #expect(try await log.projection("none").status() == nil)
            try await log.deleteProjection("kv")
            #expect(try await reader.entries().isEmpty)
            await expectCode(.notFound) { try await log.deleteProjection("kv") }
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
            #expect(try await Self.entries(log, "typed") == ["account-0=30", "account-1=25"])
            #expect(try await Self.entries(log, "views") == ["account-0=30", "account-1=25"])
            await log.close()
        }
    }
}

/// A count that closures share.
final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { self.count.withLock { $0 } }
    func add(_ number: Int) { self.count.withLock { $0 += number } }
}
