/// An event in the hands of a handler, to be settled once: acknowledged, given back, or parked.
///
/// It is a small value. What is not settled when its lease ends is delivered again, possibly elsewhere, and can
/// not be settled any more.
public struct Delivery: Sendable {
    let batch: DeliveryBatch
    let index: Int

    /// The event.
    public var event: StoredEvent {
        // A delivery is made for events that are there alone.
        self.batch.records[self.index].map { StoredEvent(placed: $0) }
            ?? StoredEvent(Event(type: "tidelog.missing"), position: self.position)
    }

    /// The event's place in the log.
    public var position: Position { Position(self.batch.grant.positions[self.index]) }

    /// 1 for the first delivery of the event, 2 for the second, and so on. A process that dies holding events
    /// that it had not begun counts one for each.
    public var attempt: Int { Int(self.batch.grant.count(self.index)) }

    /// The consumer's name.
    public var consumer: String { self.batch.core.name }

    // MARK: Settling

    /// Finished: it is not delivered again. Returns at once; it is durable within `acknowledgeWithin`, together
    /// with others. If the process dies before, the event is delivered again.
    ///
    /// - Throws: ``EventLogError`` with code `alreadySettled`, or `leaseLost` if another may have it.
    public func acknowledge() throws(EventLogError) {
        try self.batch.core.acknowledge(self.batch, self.index)
    }

    /// Finished, and durably so when it returns.
    ///
    /// - Throws: as ``acknowledge()``; also if it could not be committed: with `storageFull` it is once there
    ///   is room.
    public func acknowledgeDurably() async throws(EventLogError) {
        try self.acknowledge()
        try await self.batch.core.waitUntilDurable(self.batch, self.index..<self.index + 1)
    }

    /// Finished, with everything at lower positions that is in the same hands and not settled: for handlers that go
    /// through a batch and confirm the last.
    ///
    /// The same hands are those of one iteration of ``Consumer/deliveries``, of one of the handlers of a `run`, or of
    /// all calls of ``Consumer/next(max:wait:)`` of one consumer; what others hold stays as it is. Returns at once, as
    /// ``acknowledge()`` does.
    ///
    /// - Throws: as ``acknowledge()``, and then nothing is finished.
    public func acknowledgeUpTo() throws(EventLogError) {
        try self.batch.core.acknowledgeUpTo(self.batch, self.index)
    }

    /// Not finished: to be tried again, as the retry policy says or after `delay`; after the policy's last
    /// delivery it becomes a dead letter. Other events of its key wait, all others go on.
    public func retry(
        after delay: Duration? = nil, because error: (any Error)? = nil
    ) throws(EventLogError) {
        try self.batch.core.fail(
            self.batch, self.index, error: error.map { String(describing: $0) } ?? "negative acknowledgement",
            delay: delay?.wholeNanoseconds, isFinal: false)
    }

    /// Given up on: it becomes a dead letter at once. Durable when it returns.
    ///
    /// - Throws: as ``acknowledge()``; `deadLettersFull`: then it is tried again instead, after a second at the least.
    public func park(because reason: String) async throws(EventLogError) {
        try self.batch.core.fail(self.batch, self.index, error: reason, delay: nil, isFinal: true)
        try await self.batch.core.waitUntilDurable(self.batch, self.index..<self.index + 1)
    }

    /// Given back as if it had not been delivered: for handlers that stop. It counts as no attempt.
    public func release() throws(EventLogError) {
        try self.batch.core.release(self.batch, self.index)
    }

    /// Gives the handler so much time from now on; without it the lease ends `leaseDuration` after the event was
    /// handed out.
    public func extendLease(by duration: Duration) throws(EventLogError) {
        try self.batch.extend(self.index, by: duration.wholeNanoseconds)
    }
}
