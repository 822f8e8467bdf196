#if Postgres
    import Tidelog

    /// The log's row as an append left it.
    struct WrittenRow: Sendable {
        /// The transaction that wrote it; its number is the system's `xmin`.
        var writer: UInt32
        var nextPosition: Int64
    }

    /// What a connection knows of the log from its last append, for as long as nobody else appends.
    ///
    /// It is never relied on: a statement that goes by it does nothing where the row is another one. So being wrong
    /// costs one look more, which is why it rests after that, the longer the more often it was wrong in a row.
    struct AppendChain {
        private var row: WrittenRow?
        private var isFollowing = false
        private var misses = 0
        /// How many appends it is left alone for.
        private var rest = 0
        private static let mostMisses = 6

        /// The row that the next statement may go by.
        mutating func next() -> WrittenRow? {
            self.isFollowing = false
            guard let row else { return nil }
            if self.rest > 0 {
                self.rest -= 1
                return nil
            }
            self.isFollowing = true
            return row
        }

        /// A statement has appended; `row` is what it left, or nil.
        mutating func note(_ row: WrittenRow?) {
            if self.isFollowing { self.misses = 0 }
            self.row = row
        }

        /// A statement has done nothing.
        mutating func miss() {
            self.row = nil
            guard self.isFollowing else { return }
            self.misses = min(self.misses + 1, Self.mostMisses)
            self.rest = 1 << self.misses
        }

        /// The connection has written the row in another way.
        mutating func end() { self.row = nil }
    }

    extension PostgresConnection {
        /// The statement of the usual append, as it is best made now.
        func statement(_ single: SingleAppend, in context: StoreContext) -> PostgresStatement {
            single.statement(in: context, after: self.chain.next())
        }

        /// Makes the usual append; nil if something is in its way.
        func append(
            _ single: SingleAppend, in context: StoreContext
        ) throws(PostgresError) -> AppendResult? {
            var result: AppendResult?
            try self.run(self.statement(single, in: context)) { row throws(PostgresError) in
                result = try self.note(single, row)
            }
            if result == nil { self.chain.miss() }
            return result
        }

        /// Takes the answer to the usual append, which was sent; nil if something was in its way.
        func takeAnswer(_ single: SingleAppend) throws(PostgresError) -> AppendResult? {
            var result: AppendResult?
            try self.takeAnswer(to: "INSERT") { row throws(PostgresError) in
                result = try self.note(single, row)
            }
            if result == nil { self.chain.miss() }
            return result
        }

        private func note(
            _ single: SingleAppend, _ row: PostgresRow
        ) throws(PostgresError) -> AppendResult {
            let (result, written) = try single.result(row)
            self.chain.note(written)
            return result
        }
    }
#endif
