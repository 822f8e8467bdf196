#if Postgres
    import ArgumentParser
    import Foundation
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

        @Option(help: "append, all, streams, type, prefix, correlation or catching-up.")
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

        @Option(help: "type, prefix, correlation: a file with a value a line, each to be read by.")
        var values = ""

        @Option(help: "catching-up: where to make the log.")
        var directory = "."

        @Option(help: "catching-up: seconds of each phase.")
        var seconds = 2.0

        @Option(help: "catching-up: rounds, each with a phase alone and one beside the exporter.")
        var rounds = 5

        @Flag(help: "append, all, streams: on a thread of the store's own.")
        var ownThread = false

        func run() async throws {
            if self.scenario == "catching-up" { return try await self.catchUp() }
            var configuration = PostgresStoreConfiguration()
            configuration.names = self.postgres.names
            let store = try await PostgresEventStore.open(
                try self.postgres.settings, configuration: configuration)
            let (seconds, events) =
                self.ownThread
                ? try await store.withOwnThread { try await self.measure(store) }
                : try await self.measure(store)
            await store.close()
            print("\(seconds) \(events)")
        }

        private func measure(_ store: PostgresEventStore) async throws -> (Double, Int) {
            switch self.scenario {
            case "append": try await self.append(store)
            case "all": try await self.readAll(store)
            case "streams": try await self.readStreams(store)
            case "type": try await self.read(store) { .types(try TypePattern($0)) }
            case "prefix":
                try await self.read(store) { prefix in
                    var query = EventQuery.all
                    query.streamPrefix = prefix
                    return query
                }
            case "correlation": try await self.read(store) { .correlation(EventID($0)) }
            default: throw ValidationError("there is no scenario '\(self.scenario)'; see --help")
            }
        }

        private func append(_ store: PostgresEventStore) async throws -> (Double, Int) {
            var configuration = EventGenerator.Configuration()
            configuration.streams = self.streams
            var generator = EventGenerator(seed: self.seed, configuration: configuration)
            let share = self.count / self.callers
            // New events have ids that come after those that are there.
            let parts = (0..<self.callers).map { _ in
                generator.events(share).map { made in
                    var event = made
                    event.id = .generate()
                    return event
                }
            }
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

        /// Reads what each of the values selects, one after the other.
        private func read(
            _ store: PostgresEventStore, by query: (String) throws -> EventQuery
        ) async throws -> (Double, Int) {
            let values = try String(contentsOfFile: self.values, encoding: .utf8).split(separator: "\n")
            _ = try await store.end()
            let watch = Stopwatch()
            var count = 0
            for value in values { for try await _ in store.load(try query(String(value))) { count += 1 } }
            return (watch.seconds, count)
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
