#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Events of 10 MB")
    struct LargeEventTests {
        /// Payloads of every kind: JSON that `jsonb` gives back, JSON that it does not, bytes that are no JSON.
        static func events() -> [Event] {
            let text = String(repeating: "0123456789abcdef", count: 10_000_000 / 16)
            let part = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(10_000_000)
            for _ in 0..<10_000 { bytes.append(contentsOf: part) }
            return [
                Event(type: "exact", stream: "large", json: #"{"text":""# + text + #""}"#),
                Event(type: "inexact", stream: "large", json: #"{"b":1e1,  "text":""# + text + #""}"#),
                Event(
                    type: "bytes", stream: "large",
                    payload: EventPayload(bytes: bytes[...], contentType: "application/octet-stream")),
            ]
        }

        @Test("are exported, compared and brought back as they were")
        func exported() async throws {
            try await withLogAndDatabase { log, server, database in
                for event in Self.events() {
                    try await log.append(event)
                    try await log.append(Event(type: "small", stream: "small", json: "{}"))
                }
                let exporter = try exporter(log, server.settings(database))
                #expect(try await exporter.exportOnce().lagEvents == 0)
                for range in try await exporter.ranges() {
                    let check = try await exporter.check(range)
                    #expect(check.isEqual && check.localCount == 6)
                }
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let target = folder.path.appending("again")
                let importer = try PostgresImporter(from: server.settings(database))
                #expect(try await importer.import(to: target).events == 6)
                let imported = try await EventLog.open(at: target)
                #expect(try await self.contents(of: imported) == (try await self.contents(of: log)))
                await imported.close()
            }
        }

        /// What an event has, with its payload as what is compared in one go: by element, and as text where it is
        /// none, tens of millions of bytes take a minute in a debug build.
        private struct Contents: Equatable {
            let names: [String]
            let payload: Data

            init(_ stored: StoredEvent) {
                let event = stored.event
                self.names = [
                    "\(stored.position)", stored.revision.map { "\($0)" } ?? "-", event.id.description,
                    event.type, event.payload.contentType ?? "-",
                ]
                self.payload = Data(event.payload.bytes)
            }
        }

        private func contents(of log: EventLog) async throws -> [Contents] {
            var all: [Contents] = []
            for try await stored in log.read() { all.append(Contents(stored)) }
            return all
        }

        @Test("are appended to a store, alone and together, and loaded page by page as they were")
        func stored() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let events = Self.events()
                for event in events { try await store.append([event], if: .always) }
                var more = events
                for index in more.indices { more[index].id = .generate() }
                try await store.append(more, if: .always)
                #expect(try await store.append(more, if: .always).isRepeat)
                var index = 0
                for try await stored in store.load(.stream("large")) {
                    let expected = (events + more)[index]
                    #expect(stored.revision == Revision(UInt64(index)) && stored.id == expected.id)
                    #expect(
                        Data(stored.event.payload.bytes) == Data(expected.payload.bytes), "event \(index)")
                    index += 1
                }
                #expect(index == 6)
                try await store.withOwnThread {
                    try await store.append([Event(type: "t", stream: "large")], if: .always)
                    #expect(try await store.count(.stream("large")) == 7)
                }
                await store.close()
            }
        }
    }
#endif
