#if Postgres
    import Foundation
    import Synchronization
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    extension PostgresServer {
        /// Opens a store of this server.
        func openStore(
            _ database: String, log: String = "default", settings: PostgresSettings? = nil,
            _ change: (inout PostgresStoreConfiguration) -> Void = { _ in }
        ) async throws -> PostgresEventStore {
            var configuration = PostgresStoreConfiguration()
            configuration.log = log
            configuration.pollInterval = .seconds(30)
            change(&configuration)
            return try await PostgresEventStore.open(
                settings ?? self.settings(database), configuration: configuration)
        }
    }

    /// Runs `body` with a new database of the shared server.
    func withDatabase(_ body: (_ server: PostgresServer, _ database: String) async throws -> Void)
        async throws
    {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        try await body(server, database)
        try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
    }

    /// Collects what a subscription brings.
    final class Subscriber: Sendable {
        private let seen = Mutex<[UInt64]>([])
        private let task = Mutex<Task<Void, any Error>?>(nil)

        init(_ store: PostgresEventStore, _ query: EventQuery = .all, from start: TailStart = .beginning)
            throws
        {
            let events = try store.subscribe(query, from: start)
            let task = Task { [weak self] in
                for try await stored in events { self?.note(stored.position.rawValue) }
            }
            self.task.withLock { $0 = task }
        }

        private func note(_ position: UInt64) { self.seen.withLock { $0.append(position) } }

        /// The positions that came, in the order in which they came.
        var positions: [UInt64] { self.seen.withLock { $0 } }

        /// Waits until so many have come; false after a long while.
        func waitForCount(_ count: Int) async throws -> Bool {
            try await eventually { self.positions.count >= count }
        }

        /// Ends it; throws what it threw.
        func end() async throws {
            let task = self.task.withLock { $0 }
            task?.cancel()
            try await task?.value
        }
    }
#endif
