public import Foundation
public import GRDB

/// Events in an SQLite table with a column for each part, read through GRDB: what an app would have without
/// Tidelog.
public final class SQLiteStore: Sendable {
    /// An event of its own, as a row of the table.
    public struct StoredEvent: FetchableRecord, Sendable {
        /// Its row, from 1.
        public let position: Int64
        /// Its id.
        public let id: String
        /// Its type.
        public let type: String
        /// Its stream.
        public let stream: String?
        /// When it happened, in nanoseconds since 1970.
        public let timestamp: Int64
        /// What produced it.
        public let source: String?
        /// Its correlation id.
        public let correlation: String?
        /// Its cause's id.
        public let causation: String?
        /// Its metadata, JSON.
        public let metadata: Data?
        /// Its payload, JSON.
        public let payload: Data?

        /// An event to be stored; the table numbers it.
        public init(
            id: String, type: String, stream: String?, timestamp: Int64, source: String?,
            correlation: String?,
            causation: String?, metadata: Data?, payload: Data?
        ) {
            self.position = 0
            self.id = id
            self.type = type
            self.stream = stream
            self.timestamp = timestamp
            self.source = source
            self.correlation = correlation
            self.causation = causation
            self.metadata = metadata
            self.payload = payload
        }

        /// Columns are taken by index, which spares GRDB looking names up in every row.
        public init(row: Row) {
            self.position = row[0]
            self.id = row[1]
            self.type = row[2]
            self.stream = row[3]
            self.timestamp = row[4]
            self.source = row[5]
            self.correlation = row[6]
            self.causation = row[7]
            self.metadata = row[8]
            self.payload = row[9]
        }
    }

    private let queue: DatabaseQueue

    /// Opens a store in an empty directory.
    public init(directory: String) throws {
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
                    CREATE TABLE events(position INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL,
                    stream TEXT, timestamp INTEGER NOT NULL, source TEXT, correlation TEXT, causation TEXT,
                    metadata BLOB, payload BLOB)
                    """)
        }
    }

    /// Stores events in their plain JSON form; SQLite itself takes them apart.
    public func insert(plain events: some Sequence<Data>) throws {
        try self.queue.write { database in
            let insert = try database.makeStatement(
                sql: """
                    INSERT INTO events(id, type, stream, timestamp, source, correlation, causation, metadata,
                    payload) SELECT e->>'id', e->>'type', e->>'stream',
                    unixepoch(e->>'timestamp') * 1000000000, e->>'source', e->>'correlation_id',
                    e->>'causation_id', CAST(e->'metadata' AS BLOB), CAST(e->'payload' AS BLOB)
                    FROM (SELECT ? AS e)
                    """)
            for event in events {
                try insert.execute(arguments: [String(decoding: event, as: UTF8.self)])
            }
        }
        try self.checkpoint()
    }

    /// Stores events.
    public func insert(_ events: some Sequence<StoredEvent>) throws {
        try self.queue.write { database in
            let insert = try database.makeStatement(
                sql: """
                    INSERT INTO events(id, type, stream, timestamp, source, correlation, causation, metadata,
                    payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            for event in events {
                try insert.execute(arguments: [
                    event.id, event.type, event.stream, event.timestamp, event.source, event.correlation,
                    event.causation, event.metadata, event.payload,
                ])
            }
        }
        try self.checkpoint()
    }

    private func checkpoint() throws {
        try self.queue.writeWithoutTransaction { database in
            _ = try database.checkpoint(.truncate)
        }
    }

    /// Reads every event in order, each an owned value.
    public func forEach(_ body: (StoredEvent) -> Void) throws {
        try self.queue.read { database in
            let events = try StoredEvent.fetchCursor(
                database,
                sql: """
                    SELECT position, id, type, stream, timestamp, source, correlation, causation, metadata,
                    payload FROM events ORDER BY position
                    """)
            while let event = try events.next() { body(event) }
        }
    }
}
