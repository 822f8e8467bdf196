import Foundation
import SystemPackage
import Testing
import Tidelog

/// The Swift of README.md and Docs/Guide.md, line by line; a tidy test compares them. It has to compile, run
/// and do what the texts say of it.
@Suite("The documents' examples")
struct DocumentationTests {
    @Test("the quick start of the README stores an order and reads it back, once however often it is run")
    func readme() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        struct Order: Codable { var item: String, cents: Int }

        for _ in 1...2 {
            let log = try await EventLog.open(at: folder.log)
            let placed = try Event(
                id: "order-42-placed", type: "order.placed", encoding: Order(item: "hay", cents: 1299))
            try await log.append([placed], to: "order-42", expecting: .noStream)

            var seen: [String] = []
            for try await stored in log.read(.stream("order-42")) {
                let order: Order = try stored.payload.decode()
                print(stored.position, stored.type, order.item)
                seen.append(order.item)
            }
            #expect(seen == ["hay"])
            await log.close()
        }
    }

    @Test("the guide's appends, reads, queries and tails do what it says")
    func guide() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let log = try await EventLog.open(at: folder.log)
        struct Placed: Codable { var item: String, cents: Int }

        let placed = try Event(type: "order.placed", encoding: Placed(item: "hay", cents: 1299))
        let result = try await log.append([placed], to: "order-42", expecting: .noStream)
        #expect(result.positions == 0..<1)

        let repeated = try await log.append([placed], to: "order-42", expecting: .noStream)
        #expect(repeated.isRepeat && repeated.positions == result.positions)

        let revision: Revision = 7
        let shipped = try Event(type: "order.placed", encoding: Placed(item: "oats", cents: 1)).caused(
            by: placed)
        var conflicts = 0
        do {
            try await log.append([shipped], to: "order-42", expecting: .exact(revision))
        } catch EventLogError.Code.conflict {
            conflicts += 1
        } catch {
            throw error
        }
        #expect(conflicts == 1)

        var seen: [String] = []
        for try await stored in log.read(.stream("order-42")) {
            print(stored.position, stored.revision ?? 0, stored.type)
            let contents: Placed = try stored.payload.decode()
            seen.append(contents.item)
        }
        #expect(seen == ["hay"])

        var query = EventQuery.types("order.*", "payment.failed")
        query.since = Timestamp.now().advanced(by: .seconds(-3600))
        query.order = .newestFirst
        query.limit = 10
        let count = try await log.count(query)
        #expect(count == 1)

        let following = Task {
            for try await stored in try log.tail(from: .end) {
                print("new:", stored)
            }
        }
        following.cancel()
        _ = await following.result

        let charged = AsyncStream.makeStream(of: String.self)
        @Sendable func charge(_ event: StoredEvent) async throws {
            charged.continuation.yield(event.type)
        }
        let billing = Task {
            let consumer = try await log.consumer("billing")
            try await consumer.run { delivery in try await charge(delivery.event) }
        }
        let first = await charged.stream.first { _ in true }
        #expect(first == "order.placed")
        billing.cancel()
        _ = await billing.result
        await log.close()
        await #expect(throws: EventLogError.self) { try await log.append([placed]) }
    }
}

/// A folder of the test's own.
private struct TemporaryFolder {
    private let url = FileManager.default.temporaryDirectory.appending(path: "tidelog-docs-\(UUID())")

    init() throws {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    var log: FilePath { FilePath(url.path(percentEncoded: false)).appending("farm.tidelog") }

    func remove() { try? FileManager.default.removeItem(at: url) }
}
