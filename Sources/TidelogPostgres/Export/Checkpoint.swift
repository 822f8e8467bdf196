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

    extension Checkpoint {
        /// Says whether exporting may go on from here.
        ///
        /// A restored log keeps its UUID and gets a higher incarnation; what it appends from then on takes
        /// positions anew. So if it went another way before `next`, the event just before `next` is another
        /// one, whatever the filter: that event's digest tells.
        ///
        /// - Parameters:
        ///   - known: how far this exporter knows that the database once was; nil: not at all.
        ///   - digest: the digest of the log's event at the anchor's position now; nil: it is gone.
        /// - Throws: ``PostgresError`` with codes `logBehind`, `databaseBehind`, `diverged`, `unverifiable`,
        ///   `eventsGone`, `invalidConfiguration`.
        func compare(
            with log: LogFacts, filter: String, known: UInt64?, digest: [UInt8]?,
            accepts: PostgresExportConfiguration.Acceptance
        ) throws(PostgresError) {
            guard self.filter == filter else {
                throw PostgresError(
                    .invalidConfiguration,
                    "this export was begun with another filter; give the new one another name")
            }
            if self.next > log.end {
                throw PostgresError(
                    .logBehind,
                    "the database has events up to position \(self.next) and the log ends at \(log.end): it was "
                        + "restored from an older backup. Import the database's events into a new log to have "
                        + "them back, or export to another table",
                    positions: Position(log.end)..<Position(self.next))
            }
            if let known, self.next < known, !accepts.contains(.olderDatabase) {
                throw PostgresError(
                    .databaseBehind,
                    "the database had events up to position \(known) and now ends at \(self.next): it was restored "
                        + "from an older backup. Accept `olderDatabase` to export them again",
                    positions: Position(self.next)..<Position(known))
            }
            if let anchor {
                if let digest, digest != anchor.digest {
                    throw PostgresError(
                        .diverged,
                        "the log's event at position \(anchor.position) is not the one that was exported: log and "
                            + "database went different ways, as after a restore. Import the database's events "
                            + "into a new log, or export this one to another table",
                        positions: Position(anchor.position)..<Position(anchor.position + 1))
                }
                if digest == nil, self.incarnation != log.incarnation, !accepts.contains(.restoredLog) {
                    throw PostgresError(
                        .unverifiable,
                        "the log was restored since the last export, and its event at position "
                            + "\(anchor.position), which would show that it is the same, is gone. Accept "
                            + "`restoredLog` to go on",
                        positions: Position(anchor.position)..<Position(anchor.position + 1))
                }
            }
            // An export that has passed events which its filter does not want has begun, too.
            let hasBegun = self.exported > 0 || self.anchor != nil
            if log.first > self.next, hasBegun, !accepts.contains(.missingEvents) {
                throw PostgresError(eventsGone: Position(self.next)..<Position(log.first))
            }
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
    }
#endif
