#if Postgres
    import ArgumentParser
    import Tidelog
    import TidelogPostgres

    /// How the database is reached, and which tables are meant.
    struct PostgresOptions: ParsableArguments {
        @Option(
            help: .init(
                "The connection string as libpq takes it: 'host=db dbname=farm', postgres://db/farm, or "
                    + "'service=farm'. What is missing comes from PGHOST and its like. A password does not belong "
                    + "here, where every user of the machine can see it: set PGPASSWORD, or use a password file.",
                valueName: "dsn"))
        var dsn = ""

        @Option(help: .init("The schema of the tables.", valueName: "name"))
        var schema = "tidelog"

        @Option(help: .init("The table of events.", valueName: "name"))
        var table = "events"

        @Option(help: .init("The export's name: each has a checkpoint of its own.", valueName: "name"))
        var name = "default"

        var settings: PostgresSettings {
            get throws {
                let settings = PostgresSettings(self.dsn)
                guard try !settings.hasPassword() else {
                    throw ValidationError(
                        "--dsn holds a password, which others can see in the list of processes; set PGPASSWORD, or "
                            + "put it into ~/.pgpass or a service file")
                }
                return settings
            }
        }

        var names: PostgresNames { PostgresNames(schema: self.schema, table: self.table) }
    }

    struct ExportPostgres: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "postgres", abstract: "Into a table of PostgreSQL, once or continuously.",
            discussion: """
                Goes on where the database says that it stands; nothing arrives twice and nothing is left out, \
                whatever is cut. The tables are made where they are missing.

                Examples:
                  tidelog export postgres shop --dsn 'host=db dbname=shop'
                  tidelog export postgres shop --dsn 'host=db dbname=shop' --follow
                  tidelog export postgres shop --dsn 'host=db dbname=shop' --verify
                  tidelog export postgres shop --dsn 'host=db dbname=shop' --segments 0..3
                """)

        @OptionGroup var log: LogArgument
        @OptionGroup(title: "Where to") var postgres: PostgresOptions

        @Flag(help: "Go on as events come, until SIGINT or SIGTERM; without a connection, try again.")
        var follow = false

        @Flag(help: "Compare with the database instead, segment by segment; status 1 if they differ.")
        var verify = false

        @Flag(help: "Say how the export stands instead.")
        var status = false

        @Option(
            help: .init(
                "Only these sealed segments, counted from 0 as `tidelog segments` lists them: export them again, "
                    + "or, with --verify, compare them.", valueName: "a..b"),
            transform: Self.numbers)
        var segments: ClosedRange<Int>?

        @Flag(help: "Go on with a database that was restored from an older backup.")
        var acceptOlderDatabase = false

        @Flag(help: "Go on with a log that cannot show any more that it is the one that was exported.")
        var acceptRestoredLog = false

        @Flag(help: "Go on past events that retention dropped before they were exported.")
        var acceptMissingEvents = false

        @OptionGroup(title: "Which events") var filter: FilterOptions
        @OptionGroup var output: ReportOptions

        func validate() throws {
            if [self.follow, self.verify, self.status].count(where: { $0 }) > 1 {
                throw ValidationError("--follow, --verify and --status exclude each other")
            }
            if self.segments != nil, self.follow || self.status {
                throw ValidationError("--segments goes alone or with --verify")
            }
        }

        @Sendable static func numbers(_ text: String) throws -> ClosedRange<Int> {
            let parts = text.split(separator: ".", omittingEmptySubsequences: true).map { Int($0) }
            guard let first = parts.first ?? nil, let last = parts.last ?? nil, parts.count <= 2, first >= 0,
                first <= last, parts.count == 1 || text.contains("..")
            else { throw ValidationError("write segments as 3 or 0..3") }
            return first...last
        }

        func run() async throws {
            var configuration = PostgresExportConfiguration()
            configuration.name = self.postgres.name
            configuration.names = self.postgres.names
            configuration.filter = self.filter.query
            if self.acceptOlderDatabase { configuration.accepts.insert(.olderDatabase) }
            if self.acceptRestoredLog { configuration.accepts.insert(.restoredLog) }
            if self.acceptMissingEvents { configuration.accepts.insert(.missingEvents) }
            let settings = try self.postgres.settings
            let log =
                self.status || self.verify
                ? try await self.log.openForReading() : try await self.openForExport()
            try await withLog(log) { [configuration] log in
                let exporter = try PostgresExporter(log: log, to: settings, configuration: configuration)
                if self.status {
                    try self.show(try await exporter.remoteStatus())
                } else if self.verify {
                    try await self.compare(exporter)
                } else if self.segments != nil {
                    try await self.exportSegments(exporter)
                } else if self.follow {
                    try await self.exportOn(exporter)
                } else {
                    try await self.exportOnce(exporter, log)
                }
            }
        }

        /// Opens the log so that the export can be noted in it and retention waits for it; for reading alone,
        /// where there is no right to write.
        private func openForExport() async throws -> EventLog {
            do {
                return try await self.log.openForWriting { $0.sealsInBackground = false }
            } catch EventLogError.Code.permissionDenied {
                return try await self.log.openForReading()
            }
        }

        private func exportOnce(_ exporter: PostgresExporter, _ log: EventLog) async throws {
            let watch = Stopwatch()
            let lag = (try? await exporter.remoteStatus().lagEvents).map { Int(clamping: $0) }
            let status = try await ProgressBar.watching(
                "exporting", total: lag, isWanted: !self.output.json,
                measure: { exporter.status.exportedEvents }
            ) { try await exporter.exportOnce() }
            let seconds = watch.seconds
            try report(
                json: self.output.json, Self.json(status, seconds: seconds),
                [
                    "\(Units.events(status.exportedEvents)) exported in \(Units.duration(seconds))"
                        + (status.exportedEvents > 0
                            ? ", \(Units.rate(status.exportedEvents, seconds))" : ""),
                    "the database has everything before position "
                        + Units.count(Int(clamping: status.nextPosition?.rawValue ?? 0)),
                ])
        }

        private func exportOn(_ exporter: PostgresExporter) async throws {
            try Signals.onStop { Task { await exporter.stop(drainingFor: .seconds(5)) } }
            let bar = ProgressBar("exporting", total: nil, isWanted: !self.output.json)
            let watcher = Task {
                while !Task.isCancelled {
                    let status = exporter.status
                    bar.update(
                        status.exportedEvents,
                        "\(status.state), \(Units.events(Int(clamping: status.lagEvents))) behind, "
                            + Units.rate(Int(status.eventsPerSecond), 1))
                    try? await Task.sleep(for: .milliseconds(200))
                }
            }
            defer {
                watcher.cancel()
                bar.finish()
            }
            try await exporter.run()
            bar.finish()
            let status = exporter.status
            try report(
                json: self.output.json, Self.json(status, seconds: nil),
                [
                    "\(Units.events(status.exportedEvents)) exported, "
                        + "\(Units.events(Int(clamping: status.lagEvents))) left"
                ])
        }

        private func ranges(_ exporter: PostgresExporter, sealedOnly: Bool) async throws -> [Range<Position>]
        {
            guard let numbers = self.segments else { return try await exporter.ranges() }
            let sealed = try await exporter.log.segments().map(\.positions)
            guard numbers.upperBound < sealed.count else {
                throw Failure(
                    .usage,
                    "there are \(sealed.count) sealed segments, counted from 0; see `tidelog segments`")
            }
            return Array(sealed[numbers])
        }

        private func exportSegments(_ exporter: PostgresExporter) async throws {
            var (sent, added) = (0, 0)
            for range in try await self.ranges(exporter, sealedOnly: true) {
                let bar = ProgressBar(
                    "exporting", total: Int(range.upperBound.rawValue - range.lowerBound.rawValue),
                    isWanted: !self.output.json)
                defer { bar.finish() }
                let result = try await exporter.export(range) { bar.update($0) }
                sent += result.sent
                added += result.added
            }
            try report(
                json: self.output.json, ["events": .integer(sent), "added": .integer(added)],
                ["\(Units.events(sent)) sent, \(Units.count(added)) of them were missing"])
        }

        private func compare(_ exporter: PostgresExporter) async throws {
            var checks: [PostgresRangeCheck] = []
            for range in try await self.ranges(exporter, sealedOnly: false) {
                checks.append(try await exporter.check(range))
            }
            let beyond = self.segments == nil ? try await exporter.rowsBeyondEnd() : 0
            let differing = checks.count { !$0.isEqual }
            try report(
                json: self.output.json,
                [
                    "equal": .boolean(differing == 0 && beyond == 0), "rows_beyond_end": .integer(beyond),
                    "ranges": .array(checks.map { Self.json($0) }),
                ], Self.table(checks).lines)
            if beyond > 0 {
                throw Failure(
                    .unmet,
                    "the database has \(Units.count(beyond)) rows of this log from beyond its end: it was "
                        + "restored from an older backup; `tidelog import postgres` brings the events back")
            }
            if differing > 0 {
                throw Failure(
                    .unmet,
                    "\(differing) of \(checks.count) ranges differ; what is missing is sent by `tidelog export "
                        + "postgres \(self.log.log) --segments N`")
            }
        }

        private static func table(_ checks: [PostgresRangeCheck]) -> Table {
            var table = Table([
                .text("positions"), .number("log"), .number("database"), .number("of removed events"),
                .number("left out by the filter"), .text(""),
            ])
            for check in checks {
                let first = Units.count(check.positions.lowerBound.rawValue)
                table.add([
                    "\(first) to before \(Units.count(check.positions.upperBound.rawValue))",
                    Units.count(check.localCount), Units.count(check.remoteCount),
                    Units.count(check.removedCount), Units.count(check.unwantedCount), Self.verdict(check),
                ])
            }
            return table
        }

        /// In what way a range differs, if it does.
        private static func verdict(_ check: PostgresRangeCheck) -> String {
            if check.isEqual { return "equal" }
            let parts = [
                (check.missingCount, "missing"), (check.changedCount, "changed"),
                (check.surplusCount, "beyond the log's end"),
            ].filter { $0.0 > 0 }.map { "\(Units.count($0.0)) \($0.1)" }
            let json = check.jsonAgrees ? [] : ["JSON beside other bytes"]
            return "different: " + (parts + json).joined(separator: ", ")
        }

        private static func json(_ check: PostgresRangeCheck) -> JSONText {
            [
                "first_position": JSONText(check.positions.lowerBound),
                "end_position": JSONText(check.positions.upperBound),
                "log_events": .integer(check.localCount), "database_events": .integer(check.remoteCount),
                "removed_events": .integer(check.removedCount),
                "left_out_events": .integer(check.unwantedCount),
                "missing_events": .integer(check.missingCount),
                "changed_events": .integer(check.changedCount),
                "surplus_events": .integer(check.surplusCount),
                "log_digest": .string(Self.hex(check.localDigest)),
                "database_digest": .string(Self.hex(check.remoteDigest)),
                "json_agrees": .boolean(check.jsonAgrees), "equal": .boolean(check.isEqual),
            ]
        }

        private static func hex(_ bytes: [UInt8]) -> String {
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }

        private func show(_ status: PostgresExportStatus) throws {
            guard let next = status.nextPosition else {
                return try report(
                    json: self.output.json, Self.json(status, seconds: nil),
                    ["Nothing was exported under the name \"\(self.postgres.name)\" yet."]
                        + Self.doing(status))
            }
            try report(
                json: self.output.json, Self.json(status, seconds: nil),
                Self.doing(status) + [
                    "exported   everything before position \(Units.count(next.rawValue)), "
                        + "\(Units.events(status.exportedEvents)) in all",
                    "log        ends before position \(Units.count(status.logEnd.rawValue))",
                    "behind     \(Units.events(Int(clamping: status.lagEvents))), about "
                        + "\(Units.bytes(status.lagBytes)), the oldest \(Units.duration(status.lag.inSeconds)) old",
                ])
        }

        /// What the exporter does, and what failed last.
        private static func doing(_ status: PostgresExportStatus) -> [String] {
            var lines = ["state      \(status.state)"]
            if let error = status.lastError {
                lines.append("last error \(status.lastErrorTime.map { "\($0), " } ?? "")\(error)")
            }
            return lines + ["rate       \(Units.decimal(status.eventsPerSecond, 1)) events/s lately"]
        }

        private static func json(_ status: PostgresExportStatus, seconds: Double?) -> JSONText {
            .object([
                ("state", .string("\(status.state)")),
                ("last_error", status.lastError.map { .string("\($0)") } ?? .null),
                ("last_error_time", status.lastErrorTime.map { .string("\($0)") } ?? .null),
                ("next_position", status.nextPosition.map { JSONText($0) } ?? .null),
                ("log_end", JSONText(status.logEnd)), ("lag_events", .unsigned(status.lagEvents)),
                ("lag_bytes", .integer(status.lagBytes)), ("lag_seconds", .number(status.lag.inSeconds)),
                ("events", .integer(status.exportedEvents)),
                ("seconds", seconds.map { .number($0) } ?? .null),
                (
                    "events_per_second",
                    .number(
                        seconds.map { $0 > 0 ? Double(status.exportedEvents) / $0 : 0 }
                            ?? status.eventsPerSecond)
                ),
            ])
        }
    }

    extension PostgresError {
        /// What the exit status says of it.
        var failure: Failure {
            let status: Failure.Status =
                switch self.code {
                case .diverged, .logBehind, .databaseBehind, .unverifiable, .eventsGone, .rowsMissing: .unmet
                case .invalidConfiguration: .usage
                default: .unable
                }
            return Failure(status, self.message)
        }
    }
#endif
