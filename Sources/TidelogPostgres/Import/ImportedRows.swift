#if Postgres
    import Tidelog

    /// What an export says of the rows that it brought, by its checkpoint.
    struct ExportAccount {
        /// The export's name.
        var exporter: String
        /// Where it has brought rows: from its start, or the log's where that is not known, to before its
        /// next position.
        var positions: Range<UInt64>
        /// How many.
        var exported: UInt64
        /// The last of them.
        var last: Anchor?
        /// The fingerprint of their positions; nil if an earlier version brought some.
        var fingerprint: PositionFingerprint?
        /// What it wants of the log; nil if its checkpoint says that in another way than this version.
        var filter: EventQuery?

        /// The accounts of all exports of a log that brought no row from `next` on: those of other names fill the
        /// same table.
        static func read(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            before next: Position
        ) throws(PostgresError) -> [ExportAccount] {
            let checkpoints = try ExportSession.checkpoints(connection, names, logKey)
            return checkpoints.filter { $0.value.next <= next.rawValue }.sorted { $0.key < $1.key }
                .map { ExportAccount($0.key, $0.value) }
        }

        init(_ exporter: String, _ checkpoint: Checkpoint) {
            self.exporter = exporter
            self.fingerprint = checkpoint.fingerprint
            self.filter = ExportFilter.query(of: checkpoint.filter)
            self.positions = min(checkpoint.start ?? 0, checkpoint.next)..<checkpoint.next
            self.exported = checkpoint.exported
            self.last = checkpoint.last
        }
    }

    /// Compares the rows of a log, as they are read, with what the exports say that they brought: rows that were
    /// lost, at the end as anywhere, are noticed.
    ///
    /// Each export has counted its rows, and knows their positions by a fingerprint and the last one by its
    /// digest. The rows that it may have brought are those from its start to its next position that its
    /// filter wants. There may be more of these than it brought, where another export took events that the
    /// log removed before this one came to them; then nobody knows whether others are missing, unless they
    /// are fewer all the same, or as many and not the same ones. Which one is missing cannot always be told:
    /// positions without a row are normal where a filter, or the log itself, left events out.
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
            /// The fingerprint of their positions.
            var fingerprint = PositionFingerprint()
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
                if let filter = self.account.filter, filter != .all, !filter.matches(stored) { return }
                self.count += 1
                self.fingerprint.toggle(position)
            }

            /// Whether these are the rows that it brought, and no others. An export that is alone has brought
            /// all that there are.
            func isExact(alone isAlone: Bool) -> Bool {
                guard self.count == self.account.exported else { return false }
                return self.account.fingerprint.map { $0 == self.fingerprint } ?? isAlone
            }

            /// What is missing of it; nil: nothing.
            ///
            /// - Throws: ``PostgresError`` with code `diverged` if its last row is another event now.
            func missing() throws(PostgresError) -> Missing? {
                let exported = self.account.exported
                var fewer = exported - min(exported, self.count)
                if let noted = self.account.fingerprint, self.count == exported, noted != self.fingerprint {
                    fewer = 1
                }
                guard let last = self.account.last else { return self.missing(fewer) }
                guard let digest = self.last else {
                    return self.isLackingOnly(last.position)
                        ? Missing(count: 1, first: Position(last.position)) : self.missing(max(1, fewer))
                }
                if digest == last.digest { return self.missing(fewer) }
                let position = Position(last.position)
                throw PostgresError(
                    .diverged,
                    "the row at position \(position) is not the event that was exported: it was changed in the "
                        + "database. Correct it there, or send it again from the log",
                    positions: position..<position.advanced(by: 1))
            }

            /// Whether this is the position of the only row that is missing.
            private func isLackingOnly(_ position: UInt64) -> Bool {
                var whole = self.fingerprint
                whole.toggle(position)
                return self.count + 1 == self.account.exported && self.account.fingerprint ?? whole == whole
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

        /// The exports of which nobody knows whether rows are missing, by name; those of which some are
        /// missing for certain are none of these.
        func uncertain() throws(PostgresError) -> [String] {
            var names: [String] = []
            for tally in self.tallies where !tally.isExact(alone: self.tallies.count == 1) {
                if try tally.missing() == nil { names.append(tally.account.exporter) }
            }
            return names
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
