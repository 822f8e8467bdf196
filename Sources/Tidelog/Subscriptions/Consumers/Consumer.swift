import TidelogStorage

/// A member of a named, durable consumer of a log.
///
/// ```swift
/// let consumer = try await log.consumer("billing")
/// for try await delivery in consumer.deliveries {
///     try await charge(delivery.event)
///     try delivery.acknowledge()
/// }
/// ```
///
/// What was acknowledged is not delivered again; everything else is, at least once, after whatever ended the
/// process. All consumers of a name, in any process that has the log open, share the events among them.
public final class Consumer: Sendable {
    /// The log that it reads.
    public let log: EventLog
    /// What happens among the members. What nobody reads is dropped beyond the newest 256.
    public let events: AsyncStream<ConsumerEvent>
    let core: ConsumerCore
    let member: Int
    private let pullLane: Int32
    private let hasLeft = Lock(false)

    /// Nil if the core has ended meanwhile: then another one is to be had.
    init?(log: EventLog, core: ConsumerCore) {
        let (events, continuation) = AsyncStream.makeStream(
            of: ConsumerEvent.self, bufferingPolicy: .bufferingNewest(256))
        guard let member = core.join(continuation) else { return nil }
        self.log = log
        self.core = core
        self.events = events
        self.member = member
        self.pullLane = core.addLane(self.member)
    }

    deinit {
        if !self.hasLeft.withLock({ $0 }) { _ = self.core.leave(self.member) }
    }

    /// Its name, shared by all members.
    public var name: String { self.core.name }

    /// The settings as they are in the log.
    public var settings: ConsumerSettings { self.core.settings }

    // MARK: One by one

    /// Its events, one after the other, without an end: it comes when the task is cancelled, or the consumer is
    /// left or its log closed.
    ///
    /// Each iteration is a lane of its own: several at once share the events, and keep their order by key.
    public var deliveries: Deliveries { Deliveries(consumer: self) }

    /// A consumer's events as they are delivered.
    public struct Deliveries: AsyncSequence, Sendable {
        /// One event in hand.
        public typealias Element = Delivery
        /// What delivering throws.
        public typealias Failure = EventLogError
        let consumer: Consumer

        /// Begins to take deliveries.
        public func makeAsyncIterator() -> Iterator {
            Iterator(consumer: self.consumer, lane: self.consumer.addLane())
        }

        /// Takes one delivery after the other.
        public struct Iterator: AsyncIteratorProtocol {
            let consumer: Consumer
            let lane: Int32

            /// The next delivery; nil when there are no more to come.
            public mutating func next() async throws(EventLogError) -> Delivery? {
                try await self.next(isolation: #isolation)
            }

            /// The next delivery; nil when there are no more to come.
            @inline(__always)
            public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(EventLogError) -> Delivery? {
                if let delivery = try self.consumer.core.takeNow(self.lane) { return delivery }
                return try await self.consumer.core.take(self.lane, maximum: 1, wait: nil)?.first
            }
        }
    }

    // MARK: Pulling

    /// Takes up to `max` deliveries: what is at hand, or else the first ones to come within `wait`; empty when
    /// the time is over, or there are no more to come.
    public func next(max: Int, wait: Duration = .zero) async throws(EventLogError) -> [Delivery] {
        guard max > 0 else {
            throw EventLogError(.invalidArgument, "a batch of \(max) deliveries; ask for one at the least")
        }
        return try await self.core.take(self.pullLane, maximum: max, wait: wait) ?? []
    }

    // MARK: Running handlers

    /// Calls `handler` for each event until the task is cancelled, or the consumer is left or its log closed.
    ///
    /// When the handler returns, the event is acknowledged; when it throws, it is tried again as the settings
    /// say. A handler may settle its delivery itself. Returns once everything settled is durable.
    ///
    /// - Parameter concurrency: how many events may be handled at once; of one key always one.
    public func run(
        concurrency: Int = 1, _ handler: @escaping @Sendable (Delivery) async throws -> Void
    ) async throws(EventLogError) {
        try await self.runLanes(concurrency, maximum: 1) { deliveries in try await handler(deliveries[0]) }
    }

    /// As ``run(concurrency:_:)``, with up to `max` events at a time. When the handler throws, all that it did
    /// not settle itself are tried again.
    public func run(
        batchesOf max: Int, concurrency: Int = 1,
        _ handler: @escaping @Sendable ([Delivery]) async throws -> Void
    ) async throws(EventLogError) {
        guard max > 0 else {
            throw EventLogError(.invalidArgument, "batches of \(max) events; one is the least")
        }
        try await self.runLanes(concurrency, maximum: max, handler)
    }

    private func runLanes(
        _ lanes: Int, maximum: Int, _ handler: @escaping @Sendable ([Delivery]) async throws -> Void
    ) async throws(EventLogError) {
        guard lanes > 0 else {
            throw EventLogError(.invalidArgument, "a concurrency of \(lanes); one handler is the least")
        }
        let failure = await withTaskGroup(of: EventLogError?.self) { group in
            for _ in 0..<lanes {
                group.addTask {
                    do throws(EventLogError) {
                        try await self.runLane(maximum: maximum, handler)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var failure: EventLogError?
            for await ended in group {
                guard let ended else { continue }
                failure = failure ?? ended
                group.cancelAll()
            }
            return failure
        }
        if let failure { throw failure }
        try await self.flush()
    }

    private func runLane(
        maximum: Int, _ handler: @Sendable ([Delivery]) async throws -> Void
    ) async throws(EventLogError) {
        let lane = self.addLane()
        while !Task.isCancelled {
            var taken: [Delivery] = []
            if maximum == 1, let one = try self.core.takeNow(lane) { taken = [one] }
            if taken.isEmpty {
                guard let more = try await self.core.take(lane, maximum: maximum, wait: nil) else { return }
                taken = more
            }
            do {
                if let instruments = self.core.hub.instruments {
                    try await instruments.handling(taken) { [taken] in try await handler(taken) }
                } else {
                    try await handler(taken)
                }
                for delivery in taken {
                    self.settle { () throws(EventLogError) in try delivery.acknowledge() }
                }
            } catch {
                self.fail(taken, error)
            }
        }
    }

    private func fail(_ deliveries: [Delivery], _ error: any Error) {
        let isCancellation =
            error is CancellationError || (error as? EventLogError)?.code == .cancelled
        let isStopping = isCancellation && Task.isCancelled
        let isPermanent = self.core.settings.retry.isPermanent(error)
        for delivery in deliveries {
            self.settle { () throws(EventLogError) in
                if isStopping { return try delivery.release() }
                try self.core.fail(
                    delivery.batch, delivery.index, error: String(describing: error), delay: nil,
                    isFinal: isPermanent)
            }
        }
    }

    /// Settles a delivery unless the handler did, or its lease ended: then it is delivered again anyway.
    private func settle(_ body: () throws(EventLogError) -> Void) {
        do throws(EventLogError) {
            try body()
        } catch {
            self.core.hub.noteUnsettled(error)
        }
    }

    // MARK: The end

    /// Makes everything settled so far durable.
    public func flush() async throws(EventLogError) {
        do throws(EventLogError) {
            try await self.core.flush()
        } catch {
            // Closing has committed it.
            guard error.code == .closed else { throw error }
        }
    }

    /// Leaves: what was settled is made durable, and everything else goes to other members at once. The
    /// consumer itself stays in the log.
    public func leave() async {
        let isFirst = self.hasLeft.withLock { left in
            defer { left = true }
            return !left
        }
        guard isFirst else { return }
        if let ending = self.core.leave(self.member) {
            _ = await ending.wait()
        } else {
            try? await self.core.flush()
        }
    }

    func addLane() -> Int32 { self.core.addLane(self.member) }
}
