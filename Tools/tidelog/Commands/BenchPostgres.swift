#if Postgres
    import ArgumentParser
    import SystemPackage
    import Tidelog
    import TidelogPostgres
    import TidelogTesting

    /// What `Benchmarks/postgres-store` runs; not a command for people.
    struct BenchPostgres: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "bench-postgres", abstract: "Measure the event store in PostgreSQL.",
            shouldDisplay: false)

        @OptionGroup var postgres: PostgresOptions

        @Option(help: "append, all, streams or catching-up.")
        var scenario: String

        @Option(help: "How many events to append, or streams to read.", transform: Parse.atLeast(1))
        var count = 1000

        @Option(help: "Callers at once.", transform: Parse.atLeast(1))
        var callers = 1

        @Option(help: "Events of an append.", transform: Parse.atLeast(1))
        var batch = 1

        @Option(help: "The generator's seed.")
        var seed: UInt64 = 42

        @Option(help: "Streams that events are spread over.", transform: Parse.atLeast(1))
        var streams = 10_000

        @Option(help: "catching-up: where to make the log.")
        var directory = "."

        @Option(help: "catching-up: seconds of each phase.")
        var seconds = 2.0

        func run() async throws {
            if self.scenario == "catching-up" { return try await self.catchUp() }
            var configuration = PostgresStoreConfiguration()
            configuration.names = self.postgres.names
            let store = try await PostgresEventStore.open(
                try self.postgres.settings, configuration: configuration)
            defer { store.close() }
            let (seconds, events) =
                switch self.scenario {
                case "append": try await self.append(store)
                case "all": try await self.readAll(store)
                case "streams": try await self.readStreams(store)
                default: throw ValidationError("--scenario is append, all, streams or catching-up")
                }
            print("\(seconds) \(events)")
        }

        private func append(_ store: PostgresEventStore) async throws -> (Double, Int) {
            var configuration = EventGenerator.Configuration()
            configuration.streams = self.streams
            var generator = EventGenerator(seed: self.seed, configuration: configuration)
            let share = self.count / self.callers
            let parts = (0..<self.callers).map { _ in generator.events(share) }
            // Connections and statements are made before the clock starts.
            try await store.append([], if: .always)
            let watch = Stopwatch()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for events in parts {
                    group.addTask { [batch] in
                        for start in stride(from: 0, to: events.count, by: batch) {
                            let part = Array(events[start..<min(start + batch, events.count)])
                            try await store.append(part, if: .always)
                        }
                    }
                }
                try await group.waitForAll()
            }
            return (watch.seconds, share * self.callers)
        }

        /// How fast an app appends while the exporter in it has nothing to do, and while it catches up; in turn.
        private func catchUp() async throws {
            let directory = FilePath(self.directory).appending("catching-up")
            let log = try await EventLog.open(at: directory)
            var generator = EventGenerator(seed: self.seed)
            for _ in stride(from: 0, to: self.count, by: 1000) {
                try await log.append(generator.events(1000))
            }
            let exporter = try PostgresExporter(log: log, to: try self.postgres.settings)
            exporter.pause()
            exporter.start()
            for round in 1...3 {
                let alone = try await self.appendRate(log, &generator)
                exporter.resume()
                while exporter.status.eventsPerSecond == 0 { try await Task.sleep(for: .milliseconds(20)) }
                let beside = try await self.appendRate(log, &generator)
                let status = exporter.status
                exporter.pause()
                print(
                    "round \(round): \(Int(alone)) events/s alone, \(Int(beside)) while catching up "
                        + "(\(String(Int((beside / alone) * 100))) %), exported \(Int(status.eventsPerSecond))/s, "
                        + "\(status.lagEvents) behind")
                if status.lagEvents == 0 { print("the backlog was too short: give a higher --count") }
                // What is under way is let go of.
                try await Task.sleep(for: .milliseconds(500))
            }
            await exporter.stop()
            await log.close()
        }

        /// Events a second that `callers` tasks append, `batch` at a time, for some seconds.
        private func appendRate(_ log: EventLog, _ generator: inout EventGenerator) async throws -> Double {
            let parts = (0..<self.callers).map { _ in generator.events(max(20_000, self.batch * 200)) }
            let watch = Stopwatch()
            let counts = try await withThrowingTaskGroup(of: Int.self) { group in
                for events in parts {
                    group.addTask { [batch, seconds] in
                        var count = 0
                        var start = 0
                        while watch.seconds < seconds {
                            var part = Array(events[start..<min(start + batch, events.count)])
                            start = start + batch < events.count ? start + batch : 0
                            for index in part.indices { part[index].id = .generate() }
                            try await log.append(part)
                            count += part.count
                        }
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
            return Double(counts) / watch.seconds
        }

        private func readAll(_ store: PostgresEventStore) async throws -> (Double, Int) {
            _ = try await store.end()
            let watch = Stopwatch()
            var (count, bytes) = (0, 0)
            for try await stored in store.load(.all) {
                count += 1
                bytes += stored.payload.count
            }
            return (bytes > 0 ? watch.seconds : 0, count)
        }

        private func readStreams(_ store: PostgresEventStore) async throws -> (Double, Int) {
            let names = try await store.describeStreams(prefix: "", after: nil, limit: self.count).map(
                \.info.name)
            let watch = Stopwatch()
            var count = 0
            for name in names { for try await _ in store.load(.stream(name)) { count += 1 } }
            return (watch.seconds, count)
        }
    }
#endif
