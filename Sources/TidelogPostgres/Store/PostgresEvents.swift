#if Postgres
    import Synchronization
    public import Tidelog

    /// Events of a ``PostgresEventStore`` as an asynchronous sequence.
    ///
    /// They are read in pages, one ahead of the caller; two pages are held, whatever the length. Iterating
    /// twice reads twice. A read that is cut off goes on after the last page that it had.
    public struct PostgresEvents: AsyncSequence, Sendable {
        /// One event and its place.
        public typealias Element = StoredEvent
        /// What reading throws.
        public typealias Failure = EventLogError

        enum Kind: Sendable {
            case read
            case subscription(startsAtEnd: Bool)
        }

        let core: StoreCore
        let query: EventQuery
        let kind: Kind

        /// Begins to read.
        public func makeAsyncIterator() -> Iterator {
            Iterator(core: self.core, query: self.query, kind: self.kind)
        }

        /// Reads one event after the other.
        public struct Iterator: AsyncIteratorProtocol {
            private let core: StoreCore
            private var query: EventQuery
            private var kind: Kind
            private var page: [StoredEvent] = []
            private var index = 0
            private var plan: PagePlan?
            private var fetch: PageFetch?
            private var isOver = false

            init(core: StoreCore, query: EventQuery, kind: Kind) {
                self.core = core
                self.query = query
                self.kind = kind
            }

            /// The next event; nil at the end of a read, or when a subscription's store closes or its task is
            /// cancelled.
            public mutating func next() async throws(EventLogError) -> StoredEvent? {
                try await self.next(isolation: #isolation)
            }

            /// The next event; nil at the end of a read, or when a subscription's store closes or its task is
            /// cancelled.
            public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(EventLogError) -> StoredEvent? {
                while true {
                    if self.index < self.page.count {
                        defer { self.index += 1 }
                        return self.page[self.index]
                    }
                    if self.isOver { return nil }
                    switch self.kind {
                    case .read: try await self.readOn(isolation: actor)
                    case .subscription(let startsAtEnd):
                        if try await !self.follow(startsAtEnd, isolation: actor) { return nil }
                    }
                }
            }

            /// Takes the page that was asked for, and asks for the next one.
            private mutating func readOn(isolation actor: isolated (any Actor)?) async throws(EventLogError) {
                let plan: PagePlan
                if let known = self.plan { plan = known } else { plan = try PagePlan(self.query, self.core) }
                let fetch = self.fetch ?? PageFetch(plan, self.core, isEndless: false)
                let result = await fetch.result(isolation: actor)
                switch result {
                case .failure(let error):
                    self.isOver = true
                    throw EventLogError(error)
                case .success(let page):
                    self.page = page.events
                    self.index = 0
                    self.plan = page.next
                    self.fetch = page.next.map {
                        PageFetch($0, self.core, isEndless: false, isNext: true)
                    }
                    self.isOver = page.next == nil
                }
            }

            /// Reads up to the end that is known, then waits for more; false when it is over.
            private mutating func follow(
                _ startsAtEnd: Bool, isolation actor: isolated (any Actor)?
            ) async throws(EventLogError) -> Bool {
                if Task.isCancelled || self.query.limit == 0 { return false }
                if let to = self.query.to, self.query.from ?? .zero >= to { return false }
                if self.plan == nil { self.plan = try PagePlan(self.query, self.core, beginsWithEnd: true) }
                guard var plan = self.plan else { return false }
                // Of what there is, a subscription that begins at the end reads nothing but where that is.
                if startsAtEnd { plan.left = 0 }
                switch await PageFetch(plan, self.core, isEndless: true).endlessResult(isolation: actor) {
                case .failure(let error):
                    self.isOver = true
                    // A store that closes ends its subscriptions; that is no failure of theirs.
                    if error.code == .closed { return false }
                    throw EventLogError(error)
                case .success(let page) where startsAtEnd:
                    self.query.from = Swift.max(self.query.from ?? .zero, Position(page.end))
                    self.kind = .subscription(startsAtEnd: false)
                    self.plan = nil
                    return true
                case .success(let page):
                    self.page = page.events
                    self.index = 0
                    if let limit = self.query.limit { self.query.limit = limit - page.events.count }
                    self.plan = page.next
                    if page.next != nil { return true }
                    self.query.from = Swift.max(self.query.from ?? .zero, Position(page.end))
                    if !page.events.isEmpty { return true }
                }
                switch await self.core.tail.wait(from: (self.query.from ?? .zero).rawValue) {
                case .look: return true
                case .closed: return false
                case .failed(let error): throw EventLogError(error)
                }
            }
        }
    }

    /// What is still to be read of a query.
    struct PagePlan: Sendable {
        let selection: StoreSelection
        let isBackwards: Bool
        var bounds: Range<Int64>
        /// The position before which to stop; nil: the log's end.
        var end: Int64?
        /// Whether the end is looked up before the page, so that everything before it is known to have been
        /// read. Otherwise it is looked up after a first page that is full: most reads have none.
        var beginsWithEnd: Bool
        var offset: Int
        /// Events that are still wanted.
        var left: Int
        /// Events of the next page.
        var size: Int

        /// - Throws: ``EventLogError`` with code `invalidArgument` for a query that cannot be answered.
        init(
            _ query: EventQuery, _ core: StoreCore, offset: Int = 0, beginsWithEnd: Bool = false
        ) throws(EventLogError) {
            if !query.isStreamFromStart || query.limit ?? 0 < 0 { _ = try query.storageQuery() }
            self.selection = StoreSelection(query, in: core.context)
            self.isBackwards = query.order == .newestFirst
            self.bounds = self.selection.bounds
            self.offset = offset
            self.beginsWithEnd = beginsWithEnd
            self.left = query.limit ?? .max
            // The first page is small: many reads are of a stream of some events. Where it costs as much as a large
            // one, it is as large as may fit.
            let most = core.context.configuration.pageEvents
            self.size =
                self.selection.sortsEachPage
                ? Self.size(averageBytes: core.context.sizes.averageBytes, core.context) : min(256, most)
        }

        /// The statement of this page; nil if another one must be run first.
        var firstStatement: PostgresStatement? {
            let limit = min(self.size, self.left)
            if limit == 0 || self.end == nil && self.beginsWithEnd { return nil }
            return self.selection.page(self.bounds, end: self.end ?? .max, limit: limit, offset: self.offset)
        }

        /// Reads a page.
        ///
        /// - Parameter first: ``firstStatement``, if it was made already.
        func read(
            _ connection: PostgresConnection, _ context: StoreContext, _ first: PostgresStatement? = nil
        ) throws(PostgresError) -> EventsOfPage {
            let end: Int64
            if let known = self.end {
                end = known
            } else if self.beginsWithEnd {
                end = Int64(clamping: try StoreEnd.read(connection, context))
            } else {
                end = .max
            }
            let limit = min(self.size, self.left)
            var events: [StoredEvent] = []
            var bytes = 0
            if limit > 0 {
                // Many reads are of some events only.
                events.reserveCapacity(min(limit, 16))
                let statement =
                    first ?? self.selection.page(self.bounds, end: end, limit: limit, offset: self.offset)
                let most = context.configuration.pageBytes
                try connection.stream(statement) {
                    (row: PostgresRow) throws(PostgresError) -> Bool in
                    events.append(try connection.decoder.event(row, bytes: &bytes))
                    return bytes < most || events.count == limit
                }
            }
            var next: PagePlan?
            let isCut = events.count < limit && bytes >= context.configuration.pageBytes
            if let last = events.last, events.count == limit || isCut, self.left > events.count {
                var plan = self
                plan.end = end < .max ? end : Int64(clamping: try StoreEnd.read(connection, context))
                plan.offset = 0
                plan.left -= events.count
                plan.move(past: last)
                let averageBytes = bytes / max(1, events.count)
                context.sizes.note(averageBytes: averageBytes)
                plan.size = Self.size(averageBytes: averageBytes, context)
                if !plan.bounds.isEmpty { next = plan }
            }
            return EventsOfPage(events: events, next: next, end: UInt64(clamping: end))
        }

        /// As many as should fit in the bytes of a page, going by those of the last one.
        private static func size(averageBytes: Int, _ context: StoreContext) -> Int {
            let fitting = context.configuration.pageBytes / max(1, averageBytes)
            return max(1, min(context.configuration.pageEvents, fitting))
        }

        private mutating func move(past last: StoredEvent) {
            let key = Int64(
                clamping: self.selection.goesByRevision
                    ? last.revision?.rawValue ?? 0 : last.position.rawValue)
            if self.isBackwards {
                self.bounds = self.bounds.lowerBound..<max(self.bounds.lowerBound, key)
            } else {
                self.bounds = min(key + 1, self.bounds.upperBound)..<self.bounds.upperBound
            }
        }
    }

    /// A page, and what is left after it.
    struct EventsOfPage: Sendable {
        var events: [StoredEvent]
        var next: PagePlan?
        /// The log's end as it was.
        var end: UInt64
    }

    /// A page that is being read.
    final class PageFetch: Sendable {
        private enum State {
            case running
            case waited(UnsafeContinuation<Result<EventsOfPage, PostgresError>, Never>)
            case done(Result<EventsOfPage, PostgresError>)
        }

        private let state = Mutex(State.running)

        /// - Parameter isNext: whether it is wanted later, so that reading it is to block nobody.
        init(_ plan: PagePlan, _ core: StoreCore, isEndless: Bool, isNext: Bool = false) {
            let context = core.context
            if !isNext, !isEndless, let thread = StoreThread.current(of: core.pool) {
                let page = core.pool.run(on: thread) { connection throws(PostgresError) in
                    try plan.read(connection, context)
                }
                self.finish(page)
                return
            }
            let first = plan.firstStatement
            var isWanted: (@Sendable () -> Bool)?
            if isEndless { isWanted = { self.isWanted } }
            core.pool.submit(
                while: isWanted, sendingAhead: first,
                { connection throws(PostgresError) in try plan.read(connection, context, first) }, self.finish
            )
        }

        private var isWanted: Bool {
            self.state.withLock { if case .done = $0 { false } else { true } }
        }

        private func finish(_ result: Result<EventsOfPage, PostgresError>) {
            let waiter = self.state.withLock {
                state -> UnsafeContinuation<Result<EventsOfPage, PostgresError>, Never>? in
                if case .waited(let reply) = state {
                    state = .done(result)
                    return reply
                }
                state = .done(result)
                return nil
            }
            waiter?.resume(returning: result)
        }

        /// As ``result(isolation:)``; where the task is cancelled, a failure with code `closed` at once.
        func endlessResult(
            isolation actor: isolated (any Actor)?
        ) async -> Result<EventsOfPage, PostgresError> {
            await withTaskCancellationHandler {
                await self.result(isolation: actor)
            } onCancel: {
                self.finish(.failure(PostgresError(.closed, "the task was cancelled")))
            }
        }

        /// The page; to be asked for once.
        func result(isolation actor: isolated (any Actor)?) async -> Result<EventsOfPage, PostgresError> {
            await withUnsafeContinuation { reply in
                let known = self.state.withLock { state -> Result<EventsOfPage, PostgresError>? in
                    if case .done(let result) = state { return result }
                    state = .waited(reply)
                    return nil
                }
                if let known { reply.resume(returning: known) }
            }
        }
    }
#endif
