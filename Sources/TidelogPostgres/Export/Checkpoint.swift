#if Postgres
    import Tidelog

    /// What the database keeps of an export, and changes in the transactions that bring the rows.
    struct Checkpoint: Sendable {
        /// The first position that it has not taken.
        var next: UInt64
        /// The log's incarnation at the last export.
        var incarnation: UInt64
        /// The filter that it was made with.
        var filter: String
        /// Events taken in all.
        var exported: UInt64
        /// The log's event just before `next`, or the nearest one known.
        var anchor: Anchor?
        /// The event that was exported last.
        var last: Anchor?
        /// Where it began; nil if an earlier version made it, which did not note that.
        var start: UInt64?
        /// The fingerprint of the positions of all events taken; nil if an earlier version took some.
        var fingerprint: PositionFingerprint?

        /// Whether it is known to have taken events, or passed some: that its filter does not want, or that
        /// were gone. It may have passed events of which it knows none, where the one before each place was
        /// gone.
        var hasBegun: Bool {
            self.exported > 0 || self.anchor != nil || self.last != nil || self.next > self.start ?? self.next
        }

        /// Where an export began, of a row `c` of the checkpoints; null in tables that have no such column
        /// yet.
        static let startExpression = "(to_jsonb(c) ->> 'start_position')::bigint"
        /// The same of the fingerprint.
        static let fingerprintExpression = "(to_jsonb(c) ->> 'position_fingerprint')::bigint"
    }

    /// What the comparison needs to know of the log.
    struct LogFacts: Sendable {
        var id: EventID
        var incarnation: UInt64
        /// The oldest event that retention has left.
        var first: UInt64
        /// The position that the next event gets.
        var end: UInt64

        /// - Throws: ``PostgresError`` with code `log`.
        init(of log: EventLog) throws(PostgresError) {
            do throws(EventLogError) {
                let statistics = try log.statisticsBlocking()
                self.id = EventID(statistics.logID)
                self.incarnation = statistics.incarnation
                self.first = statistics.firstPosition.rawValue
                self.end = statistics.nextPosition.rawValue
            } catch {
                throw PostgresError(error)
            }
        }

        init(id: EventID, incarnation: UInt64, first: UInt64, end: UInt64) {
            self.id = id
            self.incarnation = incarnation
            self.first = first
            self.end = end
        }
    }

    /// What shows whether the log is the one that was exported: its events at the positions that the database
    /// remembers, as they are now.
    ///
    /// A log that went another way before a position has other events from there up to it. So whoever has the
    /// event just before it in common has all before it in common; and so has, as far as there is anything
    /// left to differ, who has in common the last event that the log still has before it.
    struct Evidence: Sendable {
        /// Digests of the log's events at the positions of a checkpoint's anchors, as far as they are there.
        var digests: [UInt64: [UInt8]] = [:]
        /// The log's last event before the checkpoint, if there is one.
        var nearest: Anchor?
        /// The digest of the database's row at that position, if it has one.
        var nearestRow: [UInt8]?
    }

    extension Checkpoint {
        /// Says whether exporting may go on from here.
        ///
        /// A restored log keeps its UUID, and what it appends from then on takes positions anew; only one
        /// that was restored from a backup, and not by copying files, gets a higher incarnation as well.
        ///
        /// - It has less than `next`: `logBehind`.
        /// - It has another event where the database remembers or has one: `diverged`.
        /// - It has the event just before `next`, or the last one that it has left before it, in common with
        ///   the database: it is the same log.
        /// - Neither: it is the same log if it was not restored, and remembers itself that the database was
        ///   as far; else `unverifiable`.
        ///
        /// - Parameters:
        ///   - known: how far this exporter, or the log itself, knows that the database once was; nil: not at
        ///     all.
        /// - Throws: ``PostgresError`` with codes `logBehind`, `databaseBehind`, `diverged`, `unverifiable`,
        ///   `eventsGone`, `invalidConfiguration`.
        func compare(
            with log: LogFacts, filter: String, known: UInt64?, evidence: Evidence,
            accepts: PostgresExportConfiguration.Acceptance
        ) throws(PostgresError) {
            guard self.filter == filter else {
                throw PostgresError(
                    .invalidConfiguration,
                    "this export was begun with another filter; give the new one another name")
            }
            if self.next > log.end { throw PostgresError(logBehind: log.end, self.next) }
            try self.refuseOthers(evidence)
            if let known, self.next < known, !accepts.contains(.olderDatabase) {
                throw PostgresError(
                    .databaseBehind,
                    "the database had events up to position \(known) and now ends at \(self.next): it was restored "
                        + "from an older backup. Accept `olderDatabase` to export them again",
                    positions: Position(self.next)..<Position(known))
            }
            guard self.hasBegun else { return }
            let isKnown = self.incarnation == log.incarnation && known ?? 0 >= self.next
            if !self.isShown(by: evidence), !isKnown, !accepts.contains(.restoredLog) {
                throw self.unverifiable(evidence, wasRestored: self.incarnation != log.incarnation)
            }
            // An export that has passed events which its filter does not want has begun, too.
            if log.first > self.next, !accepts.contains(.missingEvents) {
                throw PostgresError(eventsGone: Position(self.next)..<Position(log.first))
            }
        }

        /// Sees that the log has no other events than those that were exported, as far as both are known.
        ///
        /// - Throws: ``PostgresError`` with code `diverged`.
        func refuseOthers(_ evidence: Evidence) throws(PostgresError) {
            for anchor in [self.anchor, self.last] {
                guard let anchor, let digest = evidence.digests[anchor.position], digest != anchor.digest
                else { continue }
                throw PostgresError(divergedAt: anchor.position)
            }
            if let nearest = evidence.nearest, let row = evidence.nearestRow, nearest.digest != row {
                throw PostgresError(divergedAt: nearest.position)
            }
        }

        /// Whether an event just before `next`, or the last one that the log has before it, is the same on
        /// both sides.
        private func isShown(by evidence: Evidence) -> Bool {
            let equal = [self.anchor, self.last].compactMap { $0 }.filter {
                evidence.digests[$0.position] == $0.digest
            }
            if equal.contains(where: { $0.position + 1 == self.next || $0 == evidence.nearest }) {
                return true
            }
            guard let nearest = evidence.nearest else { return false }
            return nearest.digest == evidence.nearestRow
        }

        private func unverifiable(_ evidence: Evidence, wasRestored: Bool) -> PostgresError {
            let shown = [self.anchor, self.last].compactMap { $0 }
                .filter { evidence.digests[$0.position] == $0.digest }.map { $0.position + 1 }.max()
            let what =
                wasRestored
                ? "the log was restored since the last export"
                : "the log does not remember that it was exported up to position \(self.next), as after "
                    + "older files of it were copied back, or where it cannot be written to"
            return PostgresError(
                .unverifiable,
                "\(what), and the events before that position which would show that it is the same are "
                    + "gone. Accept `restoredLog` to go on",
                positions: Position(min(shown ?? 0, self.next))..<Position(self.next))
        }
    }

    extension PostgresError {
        /// The error for events that retention dropped before they were exported.
        init(eventsGone positions: Range<Position>) {
            self.init(
                .eventsGone,
                "retention dropped the log's events before \(positions.upperBound), and those from "
                    + "\(positions.lowerBound) on were not exported. Accept `missingEvents` to go on without them",
                positions: positions)
        }

        /// The error for a log that ends before the database does.
        init(logBehind end: UInt64, _ next: UInt64) {
            self.init(
                .logBehind,
                "the database has events up to position \(next) and the log ends at \(end): it was "
                    + "restored from an older backup. Import the database's events into a new log to have "
                    + "them back, or export to another table",
                positions: Position(end)..<Position(next))
        }

        /// The error for a log that has another event at a position than the one that was exported.
        init(divergedAt position: UInt64) {
            self.init(
                .diverged,
                "the log's event at position \(position) is not the one that was exported: log and "
                    + "database went different ways, as after a restore. Import the database's events "
                    + "into a new log, or export this one to another table",
                positions: Position(position)..<Position(position + 1))
        }

        /// The error for an export that is to begin where the log has not come to yet.
        init(start: UInt64, beyond end: UInt64) {
            self.init(
                .invalidConfiguration,
                "the export is to begin at position \(start), and the log ends at \(end): there is nothing "
                    + "to export yet. Choose a start within the log, or append up to there",
                positions: Position(end)..<Position(start))
        }
    }
#endif
