#if Postgres
    import Tidelog

    extension ExportSession {
        /// Reads the checkpoint, makes one if there is none, and compares log and database.
        ///
        /// - Parameters:
        ///   - known: how far the exporter has seen the database to be; nil: it has not seen it.
        ///   - remembered: how far the log remembers it to have been; of no meaning where nothing was
        ///     exported.
        /// - Returns: the position to go on from.
        /// - Throws: ``PostgresError``: what ``Checkpoint/compare(with:filter:known:evidence:accepts:)``
        ///   says, for the other exports of this log to these tables as well; `invalidConfiguration` for a
        ///   start beyond the log.
        func begin(known: UInt64?, remembered: UInt64? = nil) throws(PostgresError) -> UInt64 {
            let start = self.configuration.start.rawValue
            self.facts = try LogFacts(of: self.log)
            let isBeyond = start > self.facts.end
            // The place that it would begin at is no place that it has come to.
            if !isBeyond { try self.makeCheckpoint(start) }
            let checkpoints = try Self.checkpoints(self.connection, self.names, self.logKey)
            guard var own = self.own(checkpoints) else {
                if isBeyond { throw PostgresError(start: start, beyond: self.facts.end) }
                throw PostgresError(.server, "the checkpoint is not there although it was just made")
            }
            if !own.hasBegun, own.next > self.facts.end {
                if isBeyond { throw PostgresError(start: start, beyond: self.facts.end) }
                own.next = try self.beginAnew(start) ?? own.next
            }
            try self.compare(own, known: own.hasBegun ? known ?? remembered : known)
            try self.compareOthers(checkpoints)
            return own.next
        }

        /// Compares log and database as ``begin(known:remembered:)`` does, and makes no checkpoint: for what
        /// is sent beside it. What is exported in order, and so may have been missed, is no matter of that.
        func compareOnly(known: UInt64?, remembered: UInt64?) throws(PostgresError) {
            let checkpoints = try Self.checkpoints(self.connection, self.names, self.logKey)
            if let own = self.own(checkpoints), own.hasBegun {
                try self.compare(own, known: known ?? remembered, accepting: .missingEvents)
            }
            try self.compareOthers(checkpoints)
        }

        /// This export's checkpoint.
        private func own(_ checkpoints: [String: Checkpoint]) -> Checkpoint? {
            guard var own = checkpoints[self.configuration.name] else { return nil }
            // One that an earlier version made began where it is to begin now, as far as anybody knows: at
            // any other place it has come to that. Beyond the log's end it may have been told to begin.
            if own.start == nil, own.next <= self.facts.end { own.start = self.configuration.start.rawValue }
            return own
        }

        /// Makes the checkpoint where there is none.
        private func makeCheckpoint(_ start: UInt64) throws(PostgresError) {
            try self.connection.query(
                """
                INSERT INTO \(self.names.quoted("_checkpoints")) \
                (log_id, exporter, next_position, start_position, incarnation, filter, exported, \
                position_fingerprint) VALUES ($1, $2, $3, $3, $4, $5, 0, 0) ON CONFLICT DO NOTHING
                """,
                self.key + [
                    .bigint(Int64(clamping: start)), .bigint(Int64(clamping: self.facts.incarnation)),
                    .text(self.configuration.filterText),
                ])
        }

        /// Has an export that took nothing, and that an earlier start set beyond the log's end, begin where
        /// it is to begin now; answers where that is.
        private func beginAnew(_ start: UInt64) throws(PostgresError) -> UInt64? {
            let changed = try self.connection.query(
                """
                UPDATE \(self.names.quoted("_checkpoints")) SET next_position = $3, start_position = $3 \
                WHERE log_id = $1 AND exporter = $2 AND exported = 0 AND anchor_position IS NULL \
                AND last_position IS NULL AND next_position = coalesce(start_position, next_position)
                """, self.key + [.bigint(Int64(clamping: start))])
            return changed == 1 ? start : nil
        }

        private func compare(
            _ checkpoint: Checkpoint, known: UInt64?,
            accepting more: PostgresExportConfiguration.Acceptance = []
        ) throws(PostgresError) {
            // After the checkpoint: whoever exports meanwhile, the log is never behind what it has brought.
            self.facts = try LogFacts(of: self.log)
            try checkpoint.compare(
                with: self.facts, filter: self.configuration.filterText, known: known,
                evidence: try self.evidence(for: checkpoint),
                accepts: self.configuration.accepts.union(more))
        }

        /// Sees that the log is the one that the other exports brought, and that the table has no row of it
        /// from beyond its end, whoever brought that: rows are the log's, not an export's.
        ///
        /// - Throws: ``PostgresError`` with codes `logBehind`, `diverged`.
        private func compareOthers(_ checkpoints: [String: Checkpoint]) throws(PostgresError) {
            let rows = try self.rowsEnd()
            let others = checkpoints.filter { $0.key != self.configuration.name && $0.value.hasBegun }
            // Not what the checkpoint was compared with: what retention takes from then on is told by the
            // batches.
            let facts = try LogFacts(of: self.log)
            let end = max(rows, others.values.map(\.next).max() ?? 0)
            if end > facts.end { throw PostgresError(logBehind: facts.end, end) }
            for other in others.values {
                var evidence = Evidence()
                evidence.digests = try self.digests(for: other)
                try other.refuseOthers(evidence)
            }
        }

        /// The position after the log's last row.
        private func rowsEnd() throws(PostgresError) -> UInt64 {
            var end: UInt64 = 0
            try self.connection.query(
                "SELECT max(position) FROM \(self.names.quoted()) WHERE log_id = $1", [self.logKey]
            ) { row throws(PostgresError) in
                if let position = try row.integer(0) { end = UInt64(clamping: position) + 1 }
            }
            return end
        }

        /// What the log, and where that is not enough the table, has to show for a checkpoint.
        private func evidence(for checkpoint: Checkpoint) throws(PostgresError) -> Evidence {
            var evidence = Evidence()
            guard checkpoint.hasBegun else { return evidence }
            evidence.digests = try self.digests(for: checkpoint)
            if let anchor = checkpoint.anchor, anchor.position + 1 == checkpoint.next,
                evidence.digests[anchor.position] != nil
            {
                return evidence
            }
            var query = EventQuery.all
            query.to = Position(checkpoint.next)
            query.order = .newestFirst
            query.limit = 1
            do throws(EventLogError) {
                evidence.nearest = try self.log.eventsBlocking(query).first.map { Anchor($0) }
            } catch {
                throw PostgresError(error)
            }
            guard let nearest = evidence.nearest else { return evidence }
            try self.connection.query(
                """
                SELECT \(EventDigest.expression("e")) FROM \(self.names.quoted()) e \
                WHERE e.log_id = $1 AND e.position = $2
                """, [self.logKey, .bigint(Int64(clamping: nearest.position))]
            ) { row throws(PostgresError) in evidence.nearestRow = row.bytes(0) }
            return evidence
        }

        /// The digests of the log's events where a checkpoint has anchors, as far as they are there.
        private func digests(for checkpoint: Checkpoint) throws(PostgresError) -> [UInt64: [UInt8]] {
            var digests: [UInt64: [UInt8]] = [:]
            do throws(EventLogError) {
                for position in [checkpoint.anchor, checkpoint.last].compactMap({ $0?.position })
                where digests[position] == nil {
                    digests[position] = try self.log.eventBlocking(at: Position(position))
                        .map { EventDigest.digest(of: $0) }
                }
            } catch {
                throw PostgresError(error)
            }
            return digests
        }

        /// The checkpoint of an export; nil if there is none.
        static func checkpoint(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            _ exporter: String
        ) throws(PostgresError) -> Checkpoint? {
            try self.checkpoints(connection, names, logKey)[exporter]
        }

        /// The checkpoints of all exports of a log to these tables, by their names.
        static func checkpoints(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue
        ) throws(PostgresError) -> [String: Checkpoint] {
            var checkpoints: [String: Checkpoint] = [:]
            try connection.query(
                """
                SELECT next_position, incarnation, filter, exported, anchor_position, anchor_digest, \
                last_position, last_digest, exporter, \(Checkpoint.startExpression), \
                \(Checkpoint.fingerprintExpression) FROM \(names.quoted("_checkpoints")) c WHERE log_id = $1
                """, [logKey]
            ) { row throws(PostgresError) in
                func anchor(_ column: Int32) throws(PostgresError) -> Anchor? {
                    guard let position = try row.integer(column), let digest = row.bytes(column + 1) else {
                        return nil
                    }
                    return Anchor(position: UInt64(clamping: position), digest: digest)
                }
                checkpoints[row.text(8) ?? ""] = Checkpoint(
                    next: UInt64(clamping: try row.requiredInteger(0)),
                    incarnation: UInt64(clamping: try row.requiredInteger(1)), filter: row.text(2) ?? "",
                    exported: UInt64(clamping: try row.requiredInteger(3)), anchor: try anchor(4),
                    last: try anchor(6), start: try row.integer(9).map { UInt64(clamping: $0) },
                    fingerprint: try row.integer(10).map { .init(bits: UInt64(bitPattern: $0)) })
            }
            return checkpoints
        }
    }
#endif
