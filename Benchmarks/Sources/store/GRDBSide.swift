import Foundation
import GRDB

/// The same store in SQLite through GRDB: WAL, synchronous=FULL, cached statements, columns by index.
struct GRDBSide {
    let settings: Settings

    /// An event of its own, as a row of the table.
    struct StoredRow: FetchableRecord, Sendable {
        let position: Int64
        let revision: Int64
        let id: Data
        let type: String
        let stream: String
        let timestamp: Int64
        let correlation: Data?
        let metadata: Data?
        let payload: Data

        init(row: Row) {
            self.position = row[0]
            self.revision = row[1]
            self.id = row[2]
            self.type = row[3]
            self.stream = row[4]
            self.timestamp = row[5]
            self.correlation = row[6]
            self.metadata = row[7]
            self.payload = row[8]
        }

        static let columns = "position, revision, id, type, stream, timestamp, correlation, metadata, payload"
    }

    /// A number of the state, and whether the batch has changed it.
    struct Sum: Sendable {
        var value: Int64 = 0
        var isChanged = false

        mutating func add(_ number: Int64) {
            self.value += number
            self.isChanged = true
        }
    }

    func run(_ scenario: String) async throws {
        let queue = try self.open()
        try await self.fill(queue)
        switch scenario {
        case "load": try await self.load(queue)
        case "rebuild": try await self.rebuild(queue)
        default: fail("no scenario \(scenario) here")
        }
    }

    private func open() throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-262144;
                    PRAGMA mmap_size=68719476736;
                    """)
        }
        let queue = try DatabaseQueue(
            path: self.settings.directory + "/events.db", configuration: configuration)
        try queue.write { database in
            try database.execute(
                sql: """
                    CREATE TABLE events(position INTEGER PRIMARY KEY, stream TEXT NOT NULL,
                    revision INTEGER NOT NULL, id BLOB NOT NULL, type TEXT NOT NULL,
                    timestamp INTEGER NOT NULL, correlation BLOB, metadata BLOB, payload BLOB NOT NULL);
                    CREATE UNIQUE INDEX by_stream ON events(stream, revision);
                    CREATE UNIQUE INDEX by_id ON events(id);
                    CREATE INDEX by_type ON events(type);
                    CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                    CREATE TABLE offsets(name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
                    """)
        }
        return queue
    }

    private func fill(_ queue: DatabaseQueue) async throws {
        let streams = self.settings.streams
        let events = self.settings.events
        try await queue.write { database in
            let insert = try database.makeStatement(
                sql: """
                    INSERT INTO events(stream, revision, id, type, timestamp, correlation, metadata, payload)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            for number in 0..<events {
                let made = Made(number, stream: number % streams)
                try insert.execute(arguments: [
                    made.stream, number / streams, Self.data(made.id), made.type, made.timestamp,
                    Self.data(made.correlation), Data(made.metadata.utf8), Data(made.payload.utf8),
                ])
            }
        }
        try await queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
    }

    private static func data(_ id: (UInt64, UInt64)) -> Data {
        withUnsafeBytes(of: (id.0.bigEndian, id.1.bigEndian)) { Data($0) }
    }

    private func load(_ queue: DatabaseQueue) async throws {
        let streams = self.settings.streams
        for same in [true, false] {
            let (total, median) = try await self.settings.median(1000) { index in
                let stream = same ? streams / 2 : Int(Made.mixed(UInt64(index)) % UInt64(streams))
                let events = try await queue.read { database in
                    let statement = try database.cachedStatement(
                        sql: "SELECT \(StoredRow.columns) FROM events WHERE stream = ? ORDER BY revision")
                    return try StoredRow.fetchAll(statement, arguments: [Made.stream(stream)])
                }
                guard events.count == 100, events[99].revision == 99 else { fail("\(events.count) events") }
            }
            self.settings.report(same ? "load" : "load-any", 100_000, total, [("median_us", median)])
        }
    }

    /// The same function, in batches of 1,048,576 events as with Tidelog, with the offset in the same
    /// transaction; what the state holds is kept in a dictionary and written where it changed.
    private func rebuild(_ queue: DatabaseQueue) async throws {
        let (start, used) = (ContinuousClock.now, processorSeconds())
        var next: Int64 = 0
        var applied = 0
        var state: [String: Sum] = [:]
        while true {
            let (last, count, values) = try await queue.write { [next, state] database in
                var state = state
                var last = next
                var count = 0
                let select = try database.cachedStatement(
                    sql: """
                        SELECT \(StoredRow.columns) FROM events WHERE position > ?
                        ORDER BY position LIMIT 1048576
                        """)
                let rows = try StoredRow.fetchCursor(select, arguments: [next])
                while let event = try rows.next() {
                    state["events/" + event.stream, default: Sum()].add(1)
                    state["bytes/" + event.type, default: Sum()].add(Int64(event.payload.count))
                    last = event.position
                    count += 1
                }
                let upsert = try database.cachedStatement(
                    sql: """
                        INSERT INTO state(key, value) VALUES (?, ?)
                        ON CONFLICT(key) DO UPDATE SET value = excluded.value
                        """)
                for (key, sum) in state where sum.isChanged {
                    try upsert.execute(arguments: [key, sum.value])
                    state[key]?.isChanged = false
                }
                try database.execute(
                    sql: "INSERT OR REPLACE INTO offsets(name, next) VALUES ('sums', ?)", arguments: [last])
                return (last, count, state)
            }
            if count == 0 { break }
            (next, state) = (last, values)
            applied += count
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard applied == self.settings.events, state["events/" + Made.stream(7)]?.value == 100 else {
            fail("\(applied) events were applied")
        }
        self.settings.report(
            "rebuild", applied, seconds, [("processor_seconds", processorSeconds() - used)])
    }
}
