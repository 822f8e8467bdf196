#if Postgres
    import Synchronization
    import Tidelog

    /// How a group of appends is made, in one round trip and one commit, each judged by itself.
    extension StoreAppender {
        /// Tells an append's caller what `attempt` brought, which is one as usual; where that is nothing, or it fails,
        /// makes the append as one of a group. Whether something was stored.
        func finish(
            _ job: Job, _ connection: StoreConnection,
            _ attempt: (PostgresConnection) throws(PostgresError) -> AppendResult?
        ) -> Bool {
            var failure: PostgresError?
            do throws(PostgresError) {
                let result = try connection.run { connection throws(PostgresError) in
                    do throws(PostgresError) {
                        return try attempt(connection)
                    } catch {
                        self.doubt([job], connection)
                        throw error
                    }
                }
                if let result {
                    job.answer(.success(result))
                    self.tail.publish(result.positions.upperBound.rawValue)
                    return true
                }
                job.isUnusual.store(true, ordering: .relaxed)
            } catch {
                // What has no partition to go to is made once more, and the partition before it.
                failure = error.mayLackPartition ? nil : error
            }
            return self.commit([job], connection, after: failure)
        }

        /// Appends a group and answers its callers; whether something was stored.
        ///
        /// - Parameter failure: why a first try failed, if there was one.
        func commit(
            _ group: [Job], _ connection: StoreConnection, after failure: PostgresError? = nil
        ) -> Bool {
            var retry = StoreRetry(patience: nil)
            var (group, failure) = (group, failure)
            if failure == nil, let known = connection.failure {
                // While these waited for others, the server was away, and their patience has ended. Each group that
                // tried for itself would take as long again.
                let (now, patience) = (ContinuousClock.now, self.context.configuration.patience)
                group = self.refuse(group, known.error) { $0 <= now && $0 - patience <= known.time }
                if group.isEmpty { return false }
            }
            while true {
                do throws(PostgresError) {
                    if let earlier = failure {
                        failure = nil
                        throw earlier
                    }
                    return try self.attempt(group, connection)
                } catch {
                    guard let delay = retry.delay(after: error) else {
                        return self.commitEach(of: group, connection, after: error)
                    }
                    // Each has a patience of its own, of which the last moment is a try, too.
                    let isOver = self.isOver
                    group = self.refuse(group, error) { isOver || $0 <= ContinuousClock.now }
                    guard let next = group.map(\.deadline).min() else { return false }
                    PlainThread.sleep(min(delay, next - ContinuousClock.now))
                }
            }
        }

        /// Appends each of a group that cannot go together: one of them is at fault, and the others must not pay for
        /// it. Or something is in the way of them all: then they wait for it no longer than their patience, together.
        private func commitEach(
            of group: [Job], _ connection: StoreConnection, after error: PostgresError
        ) -> Bool {
            if group.count == 1 {
                _ = self.refuse(group, error) { _ in true }
                return false
            }
            var hasStored = false
            for job in group {
                let isDue = error.code == .busy && job.deadline <= ContinuousClock.now
                if !self.refuse([job], error, where: { _ in isDue }).isEmpty {
                    hasStored = self.commit([job], connection) || hasStored
                }
            }
            return hasStored
        }

        /// Answers with an error those whose deadline is of that kind; the others are left.
        private func refuse(
            _ group: [Job], _ error: PostgresError, where isDue: (ContinuousClock.Instant) -> Bool
        ) -> [Job] {
            var left: [Job] = []
            for job in group {
                if isDue(job.deadline) {
                    let isInDoubt = job.isInDoubt.load(ordering: .relaxed)
                    job.answer(.failure(EventLogError(isInDoubt ? error.ofUnknownOutcome : error)))
                } else {
                    left.append(job)
                }
            }
            return left
        }

        private func attempt(
            _ group: [Job], _ connection: StoreConnection
        ) throws(PostgresError) -> Bool {
            let results = try connection.run { connection throws(PostgresError) in
                try self.withPartitions(group, connection) { () throws(PostgresError) in
                    try self.append(group, connection)
                }
            }
            var end: UInt64 = 0
            for (job, result) in zip(group, results) {
                if case .success(let value) = result { end = max(end, value.positions.upperBound.rawValue) }
                job.answer(result)
            }
            if end > 0 { self.tail.publish(end) }
            return end > 0
        }

        private func append(
            _ group: [Job], _ connection: PostgresConnection
        ) throws(PostgresError) -> [Result<AppendResult, EventLogError>] {
            if let first = group.first, !first.request.absences.isEmpty {
                connection.chain.end()
                return [try self.appendGuarded(first, connection)]
            }
            if group.count == 1, let result = try self.appendSingle(group[0], connection) {
                return [.success(result)]
            }
            connection.chain.end()
            return try self.appendTogether(group, connection)
        }

        private func withPartitions<Value>(
            _ group: [Job], _ connection: PostgresConnection, _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            let layout = self.context.layout
            var partitions = connection.partitions ?? Partitions(names: self.context.names, layout: layout)
            // Another connection may have found the table in another layout.
            if partitions.layout != layout {
                partitions = Partitions(names: self.context.names, layout: layout)
            }
            defer {
                connection.partitions = partitions
                if partitions.layout != layout { self.context.note(partitions.layout) }
            }
            let months = { group.reduce(into: Set<Int>()) { $0.formUnion($1.request.months) } }
            return try partitions.run(connection, logID: self.context.logID, months: months, body)
        }

        /// The usual append; nil if it is not, or something is in its way.
        private func appendSingle(
            _ job: Job, _ connection: PostgresConnection
        ) throws(PostgresError) -> AppendResult? {
            guard let single = job.request.single, !job.isUnusual.load(ordering: .relaxed) else { return nil }
            do throws(PostgresError) {
                return try connection.append(single, in: self.context)
            } catch {
                self.doubt([job], connection)
                throw error
            }
        }

        /// All in one round trip, which is one transaction.
        private func appendTogether(
            _ group: [Job], _ connection: PostgresConnection
        ) throws(PostgresError) -> [Result<AppendResult, EventLogError>] {
            var answers: [AppendAnswer?] = Array(repeating: nil, count: group.count)
            let calls = group.map { $0.request.call(in: self.context, isRuledOut: false) }
            do throws(PostgresError) {
                try connection.pipeline(calls) { index, row throws(PostgresError) in
                    answers[index] = try AppendAnswer(row)
                }
            } catch {
                self.doubt(group, connection)
                throw error
            }
            var results: [Result<AppendResult, EventLogError>] = []
            for (index, job) in group.enumerated() {
                results.append(
                    try self.result(
                        of: job, answers[index], ruledOut: nil, connection))
            }
            return results
        }

        /// One append with a condition on events: the log is locked, the condition looked at, and then, in the
        /// same transaction, the function called.
        private func appendGuarded(
            _ job: Job, _ connection: PostgresConnection
        ) throws(PostgresError) -> Result<AppendResult, EventLogError> {
            let absences = job.request.absences
            var found: [Int64?] = Array(repeating: nil, count: absences.count)
            let lock =
                "SELECT next_position FROM \(self.context.names.quoted("_logs")) WHERE log_id = $1 FOR UPDATE"
            var answer: AppendAnswer?
            var ruledOut: (index: Int, position: Position)?
            do throws(PostgresError) {
                try connection.pipeline(
                    [.init(text: "BEGIN"), .init(text: lock, parameters: [self.context.key])]
                        + absences.map(\.query)
                ) { index, row throws(PostgresError) in
                    if index >= 2 { found[index - 2] = try row.integer(0) }
                }
                if let index = found.firstIndex(where: { $0 != nil }), let position = found[index] {
                    ruledOut = (index, Position(UInt64(clamping: position)))
                }
                let call = job.request.call(in: self.context, isRuledOut: ruledOut != nil)
                try connection.pipeline([call, .init(text: "COMMIT")]) { index, row throws(PostgresError) in
                    if index == 0 { answer = try AppendAnswer(row) }
                }
            } catch {
                self.doubt([job], connection)
                if !connection.isBroken { try? connection.execute("ROLLBACK") }
                throw error
            }
            return try self.result(of: job, answer, ruledOut: ruledOut, connection)
        }

        /// Remembers of these that, as the connection is lost, they may be stored all the same.
        private func doubt(_ group: [Job], _ connection: PostgresConnection) {
            guard connection.isBroken else { return }
            for job in group { job.isInDoubt.store(true, ordering: .relaxed) }
        }

        private func result(
            of job: Job, _ answer: AppendAnswer?, ruledOut: (index: Int, position: Position)?,
            _ connection: PostgresConnection
        ) throws(PostgresError) -> Result<AppendResult, EventLogError> {
            guard let answer else { return .failure(AppendRequest.unexpected) }
            if let result = job.request.result(answer, ruledOut: ruledOut) { return result }
            // What is there is compared field by field. More events than were sent are not the same append.
            var stored: [StoredEvent] = []
            let most = min(answer.last - answer.first, UInt64(job.request.events.count)) + 1
            try connection.query(
                "SELECT \(EventColumns.selection) FROM \(self.context.names.quoted()) WHERE log_id = $1 "
                    + "AND position >= $2 AND position < $3 ORDER BY position",
                [
                    self.context.key, .bigint(Int64(clamping: answer.first)),
                    .bigint(Int64(clamping: answer.first + most)),
                ]
            ) { row throws(PostgresError) in stored.append(try connection.decoder.event(row)) }
            // What an earlier try of the same call has stored is no repeat.
            let isRepeat = !job.isInDoubt.load(ordering: .relaxed)
            return job.request.result(known: stored, isRepeat: isRepeat)
        }
    }
#endif
