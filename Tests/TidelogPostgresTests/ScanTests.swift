#if Postgres
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Reading batches while retention takes events away")
    struct ScanTests {
        private static let segments = 60
        private static let segmentEvents = 40

        private func withSegments(
            _ body: (EventLog, PostgresServer, _ database: String) async throws -> Void
        ) async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                for seed in 0..<Self.segments {
                    try await fill(log, Self.segmentEvents, seed: UInt64(seed))
                    try await log.seal()
                }
                try await fill(log, 10, seed: 99)
                try await body(log, server, database)
            }
        }

        /// Drops all that is sealed.
        private func retain(_ log: EventLog) async throws {
            var policy = RetentionPolicy()
            policy.maximumEvents = 0
            policy.ignoresConsumers = true
            try await log.retain(policy)
        }

        private func session(
            _ log: EventLog, _ server: PostgresServer, _ database: String
        ) throws -> (ExportSession, BatchSource) {
            var configuration = PostgresExportConfiguration()
            configuration.batchEvents = 1_000_000
            let session = try ExportSession(
                log: log, settings: server.settings(database), configuration: configuration,
                switchOff: ConnectionSwitch())
            let source = BatchSource(
                log: log, logID: session.facts.id.uuid ?? (0, 0), configuration: configuration,
                countsMonths: false)
            return (session, source)
        }

        @Test("what went in the middle of a scan is told, and nothing of that batch is exported")
        func inTheMiddle() async throws {
            let total = Self.segments * Self.segmentEvents + 10
            var delay = Duration.microseconds(500)
            var cut = 0
            // Retention is to come while a scan is under way; when that is, is found by trying.
            for _ in 0..<40 where cut < 2 {
                try await self.withSegments { log, server, database in
                    let (session, source) = try self.session(log, server, database)
                    defer { source.end() }
                    let next = try session.begin(known: nil)
                    let reading = Task {
                        try await PlainThread.run("test-read") { () throws(PostgresError) in
                            try source.read(from: next, to: .max)
                        }
                    }
                    try await Task.sleep(for: delay)
                    try await self.retain(log)
                    let batch = try await reading.value
                    guard batch.count < total else {
                        delay = delay * 2 / 3  // the scan was over
                        #expect(try self.export(batch, session) == nil)
                        return
                    }
                    if batch.count == 10 { delay = delay * 4 / 3 } else { cut += 1 }
                    #expect(
                        batch.logFirst == UInt64(total - 10), "\(batch.count) of \(total) events were read")
                    #expect(try self.export(batch, session) == .eventsGone)
                    #expect(try server.events(in: database).isEmpty)
                    #expect(try session.begin(known: nil) == 0)
                }
            }
            #expect(cut > 0, "no scan was under way when retention came")
        }

        private func export(_ batch: ExportBatch, _ session: ExportSession) throws -> PostgresError.Code? {
            do throws(PostgresError) {
                try session.export(batch)
                return nil
            } catch { return error.code }
        }

        /// Has the database wait with the row at position 500 until the connection unlocks 42.
        private func hold(_ server: PostgresServer, _ database: String) throws -> PostgresConnection {
            let connection = try server.connect(database)
            _ = try Schema(names: .init()).prepare(connection)
            try connection.execute(
                """
                CREATE FUNCTION tidelog.hold() RETURNS trigger LANGUAGE plpgsql AS \
                'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END'; \
                CREATE TRIGGER hold BEFORE INSERT ON tidelog.events FOR EACH ROW WHEN (NEW.position = 500) \
                EXECUTE FUNCTION tidelog.hold(); SELECT pg_advisory_lock(42)
                """)
            return connection
        }

        private func isHeld(_ server: PostgresServer, _ database: String) throws -> Bool {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = "
                + "'\(database)'"
            return try server.number(waiting, in: "postgres") == 1
        }

        @Test(
            "what went between two batches is told, and passed over where that is accepted",
            arguments: [0, 1])
        func betweenBatches(_ choice: Int) async throws {
            try await self.withSegments { log, server, database in
                let exporter = try exporter(log, server.settings(database)) {
                    $0.batchEvents = 50
                    $0.pace = .full
                    $0.accepts = choice == 0 ? [] : .missingEvents
                }
                // One batch waits in the database; the next is read, and the one after that waits to be.
                let connection = try self.hold(server, database)
                exporter.start()
                #expect(try await eventually { try self.isHeld(server, database) })
                try await self.retain(log)
                try connection.execute("SELECT pg_advisory_unlock(42)")
                let rest = try await events(of: log)
                if choice == 0 {
                    #expect(try await eventually { exporter.status.state == .halted })
                    #expect(exporter.status.lastError?.code == .eventsGone)
                    let rows = try server.events(in: database)
                    #expect(
                        rows.count == Int(exporter.status.nextPosition?.rawValue ?? 0) && rows.count >= 550)
                } else {
                    #expect(try await eventually { exporter.status.lagEvents == 0 })
                    #expect(Array(try server.events(in: database).suffix(10)) == rest)
                }
                await exporter.stop()
            }
        }

        @Test("what went while a range is sent again is told")
        func ranges() async throws {
            try await self.withSegments { log, server, database in
                let exporter = try exporter(log, server.settings(database)) { $0.batchEvents = 50 }
                let connection = try self.hold(server, database)
                let sending = Task { () -> PostgresError? in
                    do throws(PostgresError) {
                        _ = try await exporter.export(0..<2410)
                        return nil
                    } catch { return error }
                }
                #expect(try await eventually { try self.isHeld(server, database) })
                try await self.retain(log)
                try connection.execute("SELECT pg_advisory_unlock(42)")
                let error = await sending.value
                #expect(error?.code == .eventsGone && error?.positions == 550..<2400, "\(error as Any)")
                #expect(try server.events(in: database).count == 550)
                // What was gone before is no news.
                #expect(try await exporter.export(0..<2410).sent == 10)
            }
        }
    }
#endif
