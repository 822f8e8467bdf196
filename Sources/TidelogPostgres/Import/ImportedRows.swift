#if Postgres
    import Tidelog

    /// What an export says of the rows that it brought, by its checkpoint.
    struct ExportAccount {
        /// Where it has brought rows: from its start, or the log's where that is not known, to before its
        /// next position.
        var positions: Range<UInt64>
        /// How many.
        var exported: UInt64
        /// The last of them.
        var last: Anchor?

        /// The accounts of all exports of a log that brought no row from `next` on: those of other names fill the
        /// same table.
        static func read(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            before next: Position
        ) throws(PostgresError) -> [ExportAccount] {
            let checkpoints = try ExportSession.checkpoints(connection, names, logKey)
            return checkpoints.values.filter { $0.next <= next.rawValue }.map { ExportAccount($0) }
        }

        init(_ checkpoint: Checkpoint) {
            self.positions = min(checkpoint.start ?? 0, checkpoint.next)..<checkpoint.next
            self.exported = checkpoint.exported
            self.last = checkpoint.last
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

        /// The rows that one export may have brought.
        private struct Tally {
            let account: ExportAccount
            var count: UInt64 = 0
            /// The first position that has no row, from where the export began.
            var gap: UInt64
            /// The digest of the row at the position of the last one that it brought.
            var last: [UInt8]?

            init(_ account: ExportAccount) {
                self.account = account
                self.gap = account.positions.lowerBound
            }

            mutating func add(_ stored: StoredEvent) {
                let position = stored.position.rawValue
                guard self.account.positions.contains(position) else { return }
                if position == self.gap { self.gap += 1 }
                if position == self.account.last?.position { self.last = EventDigest.digest(of: stored) }
                self.count += 1
            }

            /// What is missing of it; nil: nothing.
            ///
            /// - Throws: ``PostgresError`` with code `diverged` if its last row is another event now.
            func missing() throws(PostgresError) -> Missing? {
                let exported = self.account.exported
                let fewer = exported - min(exported, self.count)
                guard let last = self.account.last else { return self.missing(fewer) }
                guard let digest = self.last else {
                    // If that is the only one, it is known which one is missing.
                    return fewer > 1
                        ? self.missing(fewer) : Missing(count: 1, first: Position(last.position))
                }
                if digest == last.digest { return self.missing(fewer) }
                let position = Position(last.position)
                throw PostgresError(
                    .diverged,
                    "the row at position \(position) is not the event that was exported: it was changed in the "
                        + "database. Correct it there, or send it again from the log",
                    positions: position..<position.advanced(by: 1))
            }

            private func missing(_ count: UInt64) -> Missing? {
                count == 0 ? nil : Missing(count: Int(clamping: count), first: Position(self.gap))
            }
        }

        private var tallies: [Tally]

        init(_ accounts: [ExportAccount]) { self.tallies = accounts.map { Tally($0) } }

        /// Notes the next row.
        mutating func add(_ stored: StoredEvent) {
            for index in self.tallies.indices { self.tallies[index].add(stored) }
        }

        /// What is missing, once all rows were noted; nil: nothing.
        ///
        /// - Throws: ``PostgresError`` with code `diverged` if an export's last row is another event now.
        func missing() throws(PostgresError) -> Missing? {
            var all: Missing?
            for tally in self.tallies {
                guard let missing = try tally.missing() else { continue }
                // Two exports may have brought the same rows.
                let before = all ?? missing
                all = Missing(
                    count: max(before.count, missing.count), first: min(before.first, missing.first))
            }
            return all
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
