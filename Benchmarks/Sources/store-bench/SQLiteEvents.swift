import Foundation
import GRDB

/// Events in SQLite as a careful engineer keeps them: unique (stream, revision), an index on the type, and
/// state of a projection with its offset beside them.
final class SQLiteEvents: Sendable {
    /// An event, as an owned value.
    struct Stored: FetchableRecord, Sendable {
        let position: Int64
        let stream: String
        let revision: Int64
        let type: String
        let payload: Data

        init(row: Row) {
            self.position = row[0]
            self.stream = row[1]
            self.revision = row[2]
            self.type = row[3]
            self.payload = row[4]
        }
    }

    private let queue: DatabaseQueue

    init(directory: String) throws {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA journal_mode=WAL;
                    PRAGMA synchronous=FULL;
                    PRAGMA cache_size=-262144;
                    PRAGMA mmap_size=68719476736;
                    """)
        }
        self.queue = try DatabaseQueue(path: directory + "/events.db", configuration: configuration)
        try self.queue.write { database in
            try database.execute(
                sql: """
                    CREATE TABLE events(position INTEGER PRIMARY KEY, stream TEXT NOT NULL,
                    revision INTEGER NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL);
                    CREATE UNIQUE INDEX by_stream ON events(stream, revision);
                    CREATE INDEX by_type ON events(type);
                    CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                    CREATE TABLE offsets(name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
                    """)
        }
    }

    func insert(_ events: [(stream: String, revision: Int64, type: String, payload: Data)]) throws {
        try self.queue.write { database in
            let insert = try database.cachedStatement(
                sql: "INSERT INTO events(stream, revision, type, payload) VALUES (?, ?, ?, ?)")
            for event in events {
                try insert.execute(arguments: [event.stream, event.revision, event.type, event.payload])
            }
        }
    }

    func checkpoint() throws {
        try self.queue.writeWithoutTransaction { database in _ = try database.checkpoint(.truncate) }
    }

    /// The events of a stream as owned values.
    func stream(_ name: String) throws -> [Stored] {
        try self.queue.read { database in
            let select = try database.cachedStatement(
                sql:
                    "SELECT position, stream, revision, type, payload FROM events WHERE stream = ? ORDER BY revision"
            )
            return try Stored.fetchAll(select, arguments: [name])
        }
    }

    /// Builds state from all events in batches, each with its offset in one transaction; sums in memory within
    /// a batch, as Tidelog does.
    func project(batch: Int, _ apply: (Row, inout [String: Int64]) -> Void) throws {
        var next: Int64 = 0
        while true {
            let count = try self.queue.write { database in
                let select = try database.cachedStatement(
                    sql:
                        """
                        SELECT position, stream, type, payload FROM events
                        WHERE position > ? ORDER BY position LIMIT ?
                        """
                )
                let rows = try Row.fetchCursor(select, arguments: [next, batch])
                var sums: [String: Int64] = [:]
                var count = 0
                while let row = try rows.next() {
                    apply(row, &sums)
                    next = row[0]
                    count += 1
                }
                let upsert = try database.cachedStatement(
                    sql: """
                        INSERT INTO state(key, value) VALUES (?, ?)
                        ON CONFLICT(key) DO UPDATE SET value = value + excluded.value
                        """)
                for (key, value) in sums { try upsert.execute(arguments: [key, value]) }
                try database.execute(
                    sql: "INSERT OR REPLACE INTO offsets(name, position) VALUES ('p', ?)", arguments: [next])
                return count
            }
            if count < batch { return }
        }
    }

    func clearState() throws {
        try self.queue.write { try $0.execute(sql: "DELETE FROM state; DELETE FROM offsets") }
    }

    func total() throws -> Int64 {
        try self.queue.read { try Int64.fetchOne($0, sql: "SELECT sum(value) FROM state") ?? 0 }
    }
}
