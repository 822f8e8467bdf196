import Testing
import Tidelog

@Suite("The store in memory")
struct InMemoryStoreTests {
    @Test("of an append and a deletion that expect the same revision at once, one is refused")
    func deletionRace() async throws {
        let store = InMemoryEventStore()
        for number in 0..<3000 {
            let stream = "s-\(number)"
            try await store.append([Event(type: "first", stream: stream)], if: .always)
            async let deleted = Self.succeeds {
                try await store.delete(stream: stream, expecting: .exact(0))
            }
            async let appended = Self.succeeds {
                try await store.append(
                    [Event(type: "second", stream: stream)], if: .stream(stream, .exact(0)), snapshots: [])
            }
            let (isDeleted, isAppended) = (await deleted, await appended)
            #expect(isDeleted != isAppended, "\(stream)")
            #expect(try await store.stream(stream)?.isDeleted == isDeleted)
        }
    }

    @Test("a stream that was deleted, or never was, is not deleted, whatever is expected")
    func deletedAlready() async throws {
        let store = InMemoryEventStore()
        await expectCode(.notFound) { try await store.delete(stream: "none", expecting: .exact(3)) }
        try await store.append([Event(type: "t", stream: "s")], if: .always)
        await expectCode(.conflict) { try await store.delete(stream: "s", expecting: .exact(1)) }
        try await store.delete(stream: "s", expecting: .exact(0))
        await expectCode(.streamDeleted) { try await store.delete(stream: "s", expecting: .any) }
        await expectCode(.streamDeleted) { try await store.delete(stream: "s", expecting: .exact(0)) }
    }

    private static func succeeds(_ body: () async throws -> Void) async -> Bool {
        do {
            try await body()
            return true
        } catch {
            return false
        }
    }
}
