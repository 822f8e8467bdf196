// Records of the head: state of projections, snapshots, timers, schemas.
//
// They are changed by `append(_:expecting:changing:absences:check:)` and by head changes alone: with events or
// without, in the one head transaction that the writer is gathering, after a look (`check`) at what they are
// there.

/// One state of the head's records, which no commit changes meanwhile. Keep it short: until it ends, pages
/// of the head cannot be reused.
package struct RecordView: ~Copyable, RecordSource {
    private let transaction: ReadTransaction
    private let databases: HeadDatabases

    init(_ transaction: consuming ReadTransaction, _ databases: HeadDatabases) {
        self.transaction = transaction
        self.databases = databases
    }

    /// The number of the commit that it shows.
    package var transactionID: UInt64 { self.transaction.id }

    /// The record under `key`; nil if there is none.
    package func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try self.databases.record(space, key: key, in: self.transaction)
    }

    package func forEachRecord(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8],
        _ body: (_ key: [UInt8], _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.databases.forEachRecord(space, prefix: prefix, from: start, in: self.transaction, body)
    }

    /// The same with keys given without the prefix, and `start` likewise.
    package func forEach(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8] = [],
        _ body: (_ key: ArraySlice<UInt8>, _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.forEachRecord(space, prefix: prefix, from: prefix + start) {
            key, value throws(StorageError) in
            try body(key.dropFirst(prefix.count), value)
        }
    }
}

extension LogEngine {
    /// The record under `key` in `space`; nil if there is none.
    package func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try self.readingRecords { view throws(StorageError) in try view.record(space, key: key) }
    }

    /// Runs `body` with one state of the records.
    package func readingRecords<Result>(
        _ body: (borrowing RecordView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let reader = RecordView(try self.head.environment.beginRead(), self.head.databases)
        return try body(reader)
    }
}

extension RecordChange {
    /// About how many bytes the changes take, so that a transaction knows what room it needs.
    static func byteCount(_ changes: [RecordChange]) -> Int {
        changes.reduce(0) { sum, change in
            switch change {
            case .set(_, let key, let value): sum + key.count + value.count + 32
            case .remove: sum
            }
        }
    }
}
