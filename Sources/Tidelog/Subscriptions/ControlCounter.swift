import TidelogStorage

/// Counts what members in other processes must notice.
enum ControlCounter {
    static func value<Source: RecordSource & ~Copyable>(
        in source: borrowing Source
    ) throws(StorageError) -> UInt64 {
        guard let record = try source.record(.consumers, key: ConsumerKeys.control) else { return 0 }
        var reader = FieldReader(record, what: "the counter of consumers' changes")
        return try reader.fixed()
    }

    /// Raises it; answers the new value.
    @discardableResult
    static func raise(in transaction: borrowing HeadTransaction) throws(StorageError) -> UInt64 {
        let value = try self.value(in: transaction) + 1
        var writer = FieldWriter()
        writer.fixed(value)
        try transaction.setRecord(.consumers, key: ConsumerKeys.control, value: writer.bytes)
        return value
    }
}
