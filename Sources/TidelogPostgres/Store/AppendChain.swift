#if Postgres
    import Tidelog

    /// What a connection knows of the log from its last append, for as long as nobody else changes it.
    ///
    /// It is never relied on alone: a statement that goes by it does nothing where the log's row is another one. So
    /// being wrong costs one look more, which is why it rests after that, the longer the more often it was wrong in a
    /// row.
    struct AppendChain {
        /// The log as an append left it.
        struct Log {
            var nextPosition: Int64
            /// How often streams were hidden; none is hidden now.
            var changes: Int64
            /// An id that none in the log comes after, in the order of bytes.
            var newestID: [UInt8]
            /// Last revisions of streams that this connection appended to, by their names' bytes.
            var revisions: [[UInt8]: Int64] = [:]

            /// How many streams are remembered.
            static let mostRevisions = 1000

            /// Whether the id is newer than all in the log.
            func precedes(_ id: String) -> Bool { self.newestID.lexicographicallyPrecedes(id.utf8) }

            /// An event was appended.
            mutating func add(_ id: String, _ stream: [UInt8]?, _ revision: Int64) {
                self.nextPosition += 1
                if self.precedes(id) { self.newestID = Array(id.utf8) }
                guard let stream else { return }
                if self.revisions.updateValue(revision, forKey: stream) == nil,
                    self.revisions.count > Self.mostRevisions
                {
                    self.revisions = [stream: revision]
                }
            }
        }

        private var log: Log?
        private var misses = 0
        /// How many appends it is left alone for.
        private var rest = 0
        /// How the append was planned whose answer is waited for.
        var sent: AppendPlan?
        private static let mostMisses = 6

        /// Whether the next append may go by what is known.
        var isKnown: Bool { self.log != nil && self.rest == 0 }

        /// How an append is to be made; nil if it is known that it is not as usual.
        mutating func plan(_ single: SingleAppend) -> AppendPlan? {
            let stream = single.stream.map { Array($0.utf8) }
            var plan = AppendPlan(
                shape: .init(expectation: single.expectation, knowledge: .nothing), stream: stream,
                last: single.expected)
            guard let log else { return plan }
            if self.rest > 0 {
                self.rest -= 1
                return plan
            }
            plan.shape.knowledge = log.precedes(single.id) ? .rowAndID : .row
            (plan.position, plan.changes) = (log.nextPosition, log.changes)
            if let stream, let last = log.revisions[stream] {
                let isMet = single.expectation != .exact || single.expected == last
                guard isMet else { return nil }
                plan.shape.expectation = .met
                plan.last = last
            }
            return plan
        }

        /// A statement has appended as planned.
        ///
        /// - Parameter log: the log before, as a statement found it that looked at everything; nil if the next one
        ///   must look as well.
        mutating func note(_ plan: AppendPlan, _ id: String, revision: Int64, before log: Log?) {
            if plan.shape.knowledge == .nothing { self.log = log } else { self.misses = 0 }
            self.log?.add(id, plan.stream, revision)
        }

        /// A statement has done nothing.
        mutating func miss(_ plan: AppendPlan) {
            self.log = nil
            if plan.shape.knowledge == .nothing { return }
            self.misses = min(self.misses + 1, Self.mostMisses)
            self.rest = 1 << self.misses
        }

        /// The connection has changed the log in another way.
        mutating func end() { self.log = nil }
    }

    /// How the usual append is to be made, by what is known of the log.
    struct AppendPlan {
        var shape: SingleAppendText.Shape
        /// The event's position and the log's changes, where the statement goes by them.
        var position: Int64 = 0
        var changes: Int64 = 0
        /// The bytes of the stream's name.
        var stream: [UInt8]?
        /// The revision that the stream is at, where it is known or expected; nil for no event.
        var last: Int64?
    }

    extension PostgresConnection {
        /// Makes the usual append; nil if something is in its way.
        func append(
            _ single: SingleAppend, in context: StoreContext
        ) throws(PostgresError) -> AppendResult? {
            // Partitions may be dropped, and streams' events with them, while the log's row is as it was.
            if context.layout != .single { self.chain.end() }
            guard let plan = self.chain.plan(single) else { return nil }
            return try self.finish(single, plan) { take throws(PostgresError) in
                try self.run(single.statement(in: context, plan), take)
            }
        }

        /// Sends the usual append; its answer is to be taken next. False if it cannot be sent at once.
        func send(_ single: SingleAppend, in context: StoreContext) -> Bool {
            guard let plan = self.chain.plan(single), self.sendPrepared(single.statement(in: context, plan))
            else { return false }
            self.chain.sent = plan
            return true
        }

        /// Takes the answer to the usual append, which was sent; nil if something was in its way.
        func takeAnswer(_ single: SingleAppend) throws(PostgresError) -> AppendResult? {
            guard let plan = self.chain.sent else { return nil }
            self.chain.sent = nil
            return try self.finish(single, plan) { take throws(PostgresError) in
                try self.takeAnswer(to: "INSERT", take)
            }
        }

        /// Has the answer taken, and notes what it says.
        private func finish(
            _ single: SingleAppend, _ plan: AppendPlan,
            _ ask: ((PostgresRow) throws(PostgresError) -> Void) throws(PostgresError) -> Int
        ) throws(PostgresError) -> AppendResult? {
            var answer: SingleAppend.Answer?
            do throws(PostgresError) {
                let count = try ask { row throws(PostgresError) in answer = try single.answer(row, plan) }
                if count == 0 {
                    self.chain.miss(plan)
                    return nil
                }
            } catch {
                // Rows that somebody added by hand, without the log's: what is known of it is wrong.
                guard error.isDuplicateKey, plan.shape.knowledge != .nothing else { throw error }
                self.chain.end()
                return nil
            }
            let known = answer ?? single.answer(plan)
            self.chain.note(plan, single.id, revision: known.revision, before: known.log)
            return single.result(known)
        }
    }
#endif
