#if Postgres
    public import Tidelog

    extension PostgresEventStore {
        /// What is known of a stream; nil if it never had an event.
        public func stream(_ name: String) async throws(EventLogError) -> StreamInfo? {
            if name.utf8.contains(0) { return nil }
            let context = self.core.context
            return try await self.core.pool.run { connection throws(PostgresError) in
                try StreamRow.read(connection, context, name)
            }
        }

        /// Streams with what their events tell, in the order of their names' bytes, a page at a time.
        ///
        /// Names are found one after the other in an index, whatever the number of events.
        ///
        /// - Complexity: a stream's events are counted in the index.
        public func describeStreams(
            prefix: String, after name: String?, limit: Int
        ) async throws(EventLogError) -> [StreamDescription] {
            try StoreInput.checkPage(limit)
            if prefix.utf8.contains(0) { return [] }
            let context = self.core.context
            let statement = StreamRow.listing(context, prefix: prefix, after: name, limit: limit)
            return try await self.core.pool.run { connection throws(PostgresError) in
                var found: [StreamDescription] = []
                try connection.pipeline([statement]) { _, row throws(PostgresError) in
                    let info = try StreamRow.info(row)
                    found.append(
                        StreamDescription(
                            info: info, count: Int(try row.requiredInteger(6)),
                            firstTimestamp: try StreamRow.timestamp(row, 7),
                            lastTimestamp: try StreamRow.timestamp(row, 9)))
                }
                return found
            }
        }

        /// Hides a stream's events before `revision` for good; they stay in the table.
        ///
        /// Where the patience ends before it is known whether that was done, the error's cause says so
        /// (``PostgresError/isOutcomeUnknown``).
        public func truncate(stream: String, before revision: Revision) async throws(EventLogError) {
            let advice =
                "Whether the stream was truncated is not known: truncate it again, which changes nothing if it was"
            try await self.hide(stream, ifUnknown: advice) { info throws(EventLogError) in
                guard revision.rawValue <= info.lastRevision.rawValue + 1 else {
                    throw EventLogError(
                        .invalidArgument,
                        "stream '\(stream)' ends at revision \(info.lastRevision), so it cannot be truncated before "
                            + "\(revision)", actualRevision: info.lastRevision)
                }
                return (max(info.firstRevision, revision), false)
            }
        }

        /// Deletes a stream for good: its events are hidden, and it takes no more. They stay in the table.
        ///
        /// Where the patience ends before it is known whether that was done, the error's cause says so
        /// (``PostgresError/isOutcomeUnknown``).
        public func delete(stream: String, expecting: ExpectedRevision) async throws(EventLogError) {
            let advice =
                "Whether the stream was deleted is not known: delete it again, which throws \"streamDeleted\" if it was"
            try await self.hide(stream, ifUnknown: advice) { info throws(EventLogError) in
                let holds =
                    switch expecting {
                    case .any, .streamExists: true
                    case .noStream: false
                    default: expecting.exactRevision == info.lastRevision
                    }
                guard holds else {
                    throw EventLogError(
                        .conflict,
                        "stream '\(stream)' is at revision \(info.lastRevision), expected \(expecting); load it "
                            + "again and decide anew", actualRevision: info.lastRevision)
                }
                return (Revision(info.lastRevision.rawValue + 1), true)
            }
        }

        /// Hides what `decide` says of a stream, with the log locked.
        ///
        /// - Parameter advice: what an error says where it is not known whether that was done.
        private func hide(
            _ stream: String, ifUnknown advice: String,
            _ decide:
                @escaping @Sendable (StreamInfo) throws(EventLogError) -> (first: Revision, isDeleted: Bool)
        ) async throws(EventLogError) {
            guard !stream.isEmpty, !stream.utf8.contains(0) else {
                throw EventLogError(.notFound, "there is no stream '\(TerminalText.escape(stream))'")
            }
            let context = self.core.context
            let doubt = StreamDoubt()
            let outcome: Result<Void, EventLogError>
            do throws(EventLogError) {
                outcome = try await self.core.pool.run { connection throws(PostgresError) in
                    let limit = connection.answerLimit
                    connection.answerLimit = context.lockingLimit
                    defer { connection.answerLimit = limit }
                    return try connection.transaction(doubt: doubt.note) { () throws(PostgresError) in
                        try Self.hide(stream, connection, context, doubt, decide)
                    }
                }
            } catch {
                guard doubt.isOpen, let cause = error.cause as? PostgresError else { throw error }
                throw EventLogError(cause.ofUnknownOutcome(advice))
            }
            try outcome.get()
        }

        /// The same, in a transaction that is under way.
        private static func hide(
            _ stream: String, _ connection: PostgresConnection, _ context: StoreContext, _ doubt: StreamDoubt,
            _ decide: (StreamInfo) throws(EventLogError) -> (first: Revision, isDeleted: Bool)
        ) throws(PostgresError) -> Result<Void, EventLogError> {
            try connection.execute(context.patienceSetting("LOCAL "))
            // Written, not only locked, so that appends notice: see SingleAppendText. A trigger counts the change.
            try connection.query(
                "UPDATE \(context.names.quoted("_logs")) SET next_position = next_position WHERE log_id = $1",
                [context.key])
            guard let info = try StreamRow.read(connection, context, stream) else {
                return .failure(EventLogError(.notFound, "there is no stream '\(stream)'"))
            }
            if info.isDeleted {
                // A try whose commit was not answered has done it.
                if doubt.isOpen { return .success(()) }
                return .failure(EventLogError(.streamDeleted, "stream '\(stream)' was deleted already"))
            }
            do throws(EventLogError) {
                let (first, isDeleted) = try decide(info)
                try StreamRow.write(connection, context, info, first: first, isDeleted: isDeleted)
                return .success(())
            } catch {
                if let cause = error.cause as? PostgresError { throw cause }
                return .failure(error)
            }
        }

        /// The newest snapshot that was kept of a stream; nil if there is none.
        public func snapshot(of stream: String) async throws(EventLogError) -> StreamSnapshot? {
            if stream.utf8.contains(0) { return nil }
            let context = self.core.context
            return try await self.core.pool.run { connection throws(PostgresError) in
                var snapshot: StreamSnapshot?
                try connection.query(
                    "SELECT revision, kind, state FROM \(context.names.quoted("_snapshots")) "
                        + "WHERE log_id = $1 AND stream = $2", [context.key, .text(stream)]
                ) { row throws(PostgresError) in
                    snapshot = StreamSnapshot(
                        stream: stream, revision: Revision(UInt64(clamping: try row.requiredInteger(0))),
                        schema: row.text(1) ?? "", state: row.bytes(2) ?? [])
                }
                return snapshot
            }
        }
    }
#endif
