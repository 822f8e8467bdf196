#if Postgres
    import ArgumentParser
    import SystemPackage
    import Tidelog
    import TidelogPostgres

    /// `tidelog import`: from a file, unless it is from PostgreSQL.
    struct ImportGroup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: Import.configuration.abstract,
            discussion: Import.configuration.discussion,
            subcommands: [Import.self, ImportPostgres.self], defaultSubcommand: Import.self)
    }

    struct ImportPostgres: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "postgres", abstract: "Bring a log back from PostgreSQL.",
            discussion: """
                Makes the log LOG of what was exported, with its positions, revisions, ids and UUID; LOG must be \
                missing or empty. What is written is verified, and compared with the database's digest. Stopped \
                by SIGINT or SIGTERM, it leaves nothing behind.

                Examples:
                  tidelog import postgres farm --dsn 'host=db dbname=farm'
                  tidelog import postgres farm --dsn 'host=db dbname=farm' --list
                """)

        @OptionGroup var log: LogArgument
        @OptionGroup(title: "Where from") var postgres: PostgresOptions

        @Option(help: .init("The log's UUID, where the database has several.", valueName: "uuid"))
        var logID: String?

        @Flag(
            help:
                "Import an export that left events out by a filter, or began after them, or ends before another one."
        )
        var partial = false

        @Flag(help: "Import what is there although rows that were exported are missing.")
        var acceptMissingRows = false

        @Flag(help: "List the logs that the database has, and import nothing.")
        var list = false

        @OptionGroup var output: ReportOptions

        func run() async throws {
            let importer = try PostgresImporter(from: try self.postgres.settings, names: self.postgres.names)
            if self.list { return try self.show(try await importer.logs()) }
            let bar = ProgressBar("importing", total: nil, isWanted: !self.output.json)
            defer { bar.finish() }
            let watch = Stopwatch()
            let task = Task { [logID, partial, acceptMissingRows, name = postgres.name, path = log.log] in
                try await importer.import(
                    logID: logID, exporter: name, acceptsPartial: partial,
                    acceptsMissingRows: acceptMissingRows,
                    to: FilePath(path)
                ) { bar.update($0) }
            }
            try Signals.onStop { task.cancel() }
            let result = try await task.value
            bar.finish()
            let seconds = watch.seconds
            try report(
                json: self.output.json,
                [
                    "log_id": .string(result.logID), "events": .integer(result.events),
                    "missing_rows": .integer(result.missingRows),
                    "uncertain_exports": .array(result.uncertainExports.map { .string($0) }),
                    "start_position": result.startPosition.map { JSONText($0) } ?? .null,
                    "next_position": JSONText(result.nextPosition),
                    "incarnation": .unsigned(result.incarnation),
                    "seconds": .number(seconds),
                ],
                [
                    "\(Units.events(result.events)) imported and verified in \(Units.duration(seconds))",
                    "the next event gets position \(Units.count(result.nextPosition.rawValue))",
                ]
                    + Self.start(result.startPosition)
                    + (result.missingRows > 0
                        ? ["at least \(Units.count(result.missingRows)) of the exported rows are missing"]
                        : [])
                    + result.uncertainExports.map {
                        "whether rows of the export \"\($0)\" are missing is not known: others brought more "
                            + "events that it wants"
                    })
        }

        /// What the export left out at its beginning.
        private static func start(_ position: Position?) -> [String] {
            guard let position, position > .zero else { return [] }
            return [
                "the export began at position \(Units.count(position.rawValue)) and left out the events before it"
            ]
        }

        private func show(_ logs: [ExportedLog]) throws {
            var table = Table([
                .text("log"), .text("export"), .number("events exported"), .number("from position"),
                .number("next position"), .text(""),
            ])
            for log in logs {
                table.add([
                    log.logID, log.exporter, Units.count(Int(clamping: log.exportedEvents)),
                    log.startPosition.map { Units.count($0.rawValue) } ?? "",
                    Units.count(log.nextPosition.rawValue), log.isFiltered ? "filtered" : "",
                ])
            }
            try report(
                json: self.output.json,
                [
                    "logs": .array(
                        logs.map {
                            [
                                "log_id": .string($0.logID), "export": .string($0.exporter),
                                "events": .unsigned($0.exportedEvents),
                                "start_position": $0.startPosition.map { JSONText($0) } ?? .null,
                                "next_position": JSONText($0.nextPosition),
                                "filtered": .boolean($0.isFiltered),
                            ]
                        })
                ], logs.isEmpty ? ["The database has no log."] : table.lines)
        }
    }
#endif
