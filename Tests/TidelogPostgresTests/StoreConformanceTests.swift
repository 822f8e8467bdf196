#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("The event store in PostgreSQL")
    struct StoreConformanceTests {
        /// A database for each way in which the table is kept; each check has a log of its own in it.
        private static let databases: [PostgresLayout: Result<String, any Error>] = {
            var databases: [PostgresLayout: Result<String, any Error>] = [:]
            for layout in [PostgresLayout.single, .byLog, .byMonth] {
                databases[layout] = Result { try PostgresServer.shared.get().makeDatabase() }
            }
            return databases
        }()

        private func run(
            _ check: EventStoreConformance<PostgresEventStore>.Check, _ layout: PostgresLayout
        ) async throws {
            let server = try PostgresServer.shared.get()
            let database = try #require(try Self.databases[layout]?.get())
            try await check.run {
                try await server.openStore(database, log: UUID().uuidString) {
                    $0.layout = layout
                    $0.maximumReaders = 2
                    // Pages of a few events, so that every read has several.
                    $0.pageEvents = 3
                }
            }
        }

        @Test(
            "keeps what every store promises",
            arguments: EventStoreConformance<PostgresEventStore>.checks)
        func conforms(_ check: EventStoreConformance<PostgresEventStore>.Check) async throws {
            try await self.run(check, .single)
        }

        @Test(
            "keeps what every store promises, also in a partitioned table",
            arguments: EventStoreConformance<PostgresEventStore>.checks, [PostgresLayout.byLog, .byMonth])
        func conformsPartitioned(
            _ check: EventStoreConformance<PostgresEventStore>.Check, _ layout: PostgresLayout
        ) async throws {
            try await self.run(check, layout)
        }
    }
#endif
