#if Postgres
    import Tidelog

    /// What an export says of the rows that it brought, by its checkpoint.
    struct ExportAccount {
        /// How many.
        var exported: UInt64
        /// Whether a filter left events out.
        var isFiltered: Bool
        /// The last of them.
        var last: Anchor?

        /// The accounts of all exports of a log that brought no row from `next` on: those of other names fill the
        /// same table.
        static func read(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            before next: Position
        ) throws(PostgresError) -> [ExportAccount] {
            var accounts: [ExportAccount] = []
            try connection.query(
                """
                SELECT exported, filter <> '', last_position, last_digest FROM \(names.quoted("_checkpoints")) \
                WHERE log_id = $1 AND next_position <= $2
                """, [logKey, .bigint(Int64(clamping: next.rawValue))]
            ) { row throws(PostgresError) in
                var last: Anchor?
                if let position = try row.integer(2), let digest = row.bytes(3) {
                    last = Anchor(position: UInt64(clamping: position), digest: digest)
                }
                accounts.append(
                    ExportAccount(
                        exported: UInt64(clamping: try row.requiredInteger(0)), isFiltered: row.boolean(1),
                        last: last))
            }
            return accounts
        }
    }

    /// Compares the rows of a log, as they are read, with what the exports say that they brought: rows that were
    /// lost, at the end as anywhere, are noticed.
    ///
    /// Each export has counted its rows, and knows the last one by its position and its digest. There may be more
    /// rows than one export brought, never fewer. Which one is missing cannot always be told: positions without a
    /// row are normal where a filter, or the log itself, left events out.
    struct ImportedRows {
        /// Rows that are not there.
        struct Missing: Equatable {
            /// How many at least.
            var count: Int
            /// The first of them has this position or a later one.
            var first: Position
        }

        private let accounts: [ExportAccount]
        private var digests: [UInt64: [UInt8]?] = [:]
        private var count: UInt64 = 0
        /// The position after the last row.
        private var end: UInt64 = 0
        /// The first position without a row that has rows before and after it.
        private var gap: UInt64?

        init(_ accounts: [ExportAccount]) {
            self.accounts = accounts
            for account in accounts {
                if let last = account.last { self.digests[last.position] = .some(nil) }
            }
        }

        /// Notes the next row.
        mutating func add(_ stored: StoredEvent) {
            let position = stored.position.rawValue
            if self.count > 0, self.gap == nil, position > self.end { self.gap = self.end }
            self.count += 1
            self.end = position + 1
            if self.digests[position] != nil { self.digests[position] = EventDigest.digest(of: stored) }
        }

        /// What is missing, once all rows were noted; nil: nothing.
        ///
        /// - Throws: ``PostgresError`` with code `diverged` if an export's last row is another event now.
        func missing() throws(PostgresError) -> Missing? {
            let lasts = self.accounts.compactMap(\.last)
            let lost = lasts.filter { self.digests[$0.position] == .some(nil) }.map(\.position)
            for last in lasts {
                guard let digest = self.digests[last.position] ?? nil, digest != last.digest else { continue }
                let position = Position(last.position)
                throw PostgresError(
                    .diverged,
                    "the row at position \(position) is not the event that was exported: it was changed in the "
                        + "database. Correct it there, or send it again from the log",
                    positions: position..<position.advanced(by: 1))
            }
            let expected = self.accounts.map(\.exported).max() ?? 0
            guard self.count < expected || !lost.isEmpty else { return nil }
            var first = lost.min()
            if self.accounts.contains(where: { !$0.isFiltered }) {
                // With every event exported, a gap is where they are missing, unless the log had it, too.
                let isCut = lost.contains { $0 >= self.end }
                for candidate in [self.gap, isCut ? self.end : nil].compactMap({ $0 }) {
                    first = min(first ?? candidate, candidate)
                }
            }
            let count = max(expected - min(expected, self.count), lost.isEmpty ? 0 : 1)
            return Missing(count: Int(clamping: count), first: Position(first ?? 0))
        }
    }

    extension PostgresError {
        /// The error for rows that an export brought and the database has no longer.
        init(_ missing: ImportedRows.Missing, before next: Position) {
            self.init(
                .rowsMissing,
                "the database has lost at least \(missing.count) of the rows that were exported, the first at position "
                    + "\(missing.first) or after it. Restore them from a backup, or send them again from the log; "
                    + "accept missing rows to import what is there, as after dropping a partition",
                positions: missing.first..<max(next, missing.first))
        }
    }
#endif
