#if Postgres
    import Foundation
    import SystemPackage
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// Everything about an event, to compare by.
    func describe(_ stored: StoredEvent) -> String {
        let event = stored.event
        return [
            "\(stored.position)", stored.revision.map { "\($0)" } ?? "-", event.id.description, event.type,
            event.stream ?? "-", "\(event.timestamp.nanosecondsSinceEpoch)", event.source ?? "-",
            event.payload.contentType ?? "-", event.correlationID?.description ?? "-",
            event.causationID?.description ?? "-", "\(event.schemaVersion)",
            String(decoding: event.metadata.json, as: UTF8.self),
            event.payload.bytes.map { String($0, radix: 16) }.joined(separator: "."),
        ].joined(separator: "|")
    }

    /// The events of a log, in order.
    func events(of log: EventLog, _ query: EventQuery = .all) async throws -> [String] {
        var texts: [String] = []
        for try await stored in log.read(query) { texts.append(describe(stored)) }
        return texts
    }

    /// Runs `body` with a new log and a new database of the shared server.
    func withLogAndDatabase(
        _ configuration: EventLogConfiguration = .init(),
        _ body: (_ log: EventLog, _ server: PostgresServer, _ database: String) async throws -> Void
    ) async throws {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            try await body(log, server, database)
            await log.close()
        }
        try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
    }

    /// Appends so many events of the generator, in batches.
    func fill(_ log: EventLog, _ count: Int, seed: UInt64 = 1, batch: Int = 500) async throws {
        var generator = EventGenerator(seed: seed)
        var left = count
        while left > 0 {
            var events: [Event] = []
            while events.count < min(batch, left), let event = generator.next() { events.append(event) }
            try await log.append(events)
            left -= events.count
        }
    }

    /// An exporter that tries again quickly.
    func exporter(
        _ log: EventLog, _ settings: PostgresSettings,
        _ change: (inout PostgresExportConfiguration) -> Void = { _ in }
    ) throws -> PostgresExporter {
        var configuration = PostgresExportConfiguration()
        configuration.firstRetryDelay = .milliseconds(5)
        configuration.longestRetryDelay = .milliseconds(50)
        configuration.gathering = .milliseconds(2)
        change(&configuration)
        return try PostgresExporter(log: log, to: settings, configuration: configuration)
    }

    extension PostgresImporter {
        /// What an import of this export into a new directory throws, or what it reports.
        func outcome(
            accepting: Bool = false, partial: Bool = false, exporter: String = "default"
        ) async throws -> Result<PostgresImportReport, PostgresError> {
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            do throws(PostgresError) {
                return .success(
                    try await self.import(
                        exporter: exporter, acceptsPartial: partial, acceptsMissingRows: accepting,
                        to: folder.path.appending("log")))
            } catch {
                return .failure(error)
            }
        }
    }

    /// Waits until `condition` holds; false after a long while.
    func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<1000 {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }
#endif
