public import Tidelog

/// What concurrent appenders saw, to be checked against one sequential order.
///
/// Each appender notes when he began, what he expected of the stream, and what he was answered and when. The
/// history is linearizable if the order of the store's positions explains every answer and contradicts no
/// clock: an append that ended before another began stands before it; each success found the revision that it
/// expected; each conflict tells a revision that the stream had at some moment of the attempt; and what is
/// stored is what was acknowledged, no more and no less.
public struct AppendHistory: Sendable {
    /// One append of one event to a stream, expecting its revision.
    public struct Attempt: Sendable {
        /// The event's id.
        public var id: String
        /// The stream.
        public var stream: String
        /// The revision that the stream was to have before; nil: no event yet.
        public var expected: UInt64?
        /// When it began and when the answer came, by one monotonic clock.
        public var began: UInt64, ended: UInt64
        /// The position and revision that it got; nil if there was a conflict.
        public var stored: (position: UInt64, revision: UInt64)?
        /// The revision that a conflict told; nil: no event yet.
        public var actual: UInt64?

        /// An attempt and its answer.
        public init(
            id: String, stream: String, expected: UInt64?, began: UInt64, ended: UInt64,
            stored: (position: UInt64, revision: UInt64)?, actual: UInt64?
        ) {
            self.id = id
            self.stream = stream
            self.expected = expected
            self.began = began
            self.ended = ended
            self.stored = stored
            self.actual = actual
        }
    }

    /// All attempts, in any order.
    public var attempts: [Attempt]

    /// A history of these attempts.
    public init(_ attempts: [Attempt] = []) {
        self.attempts = attempts
    }

    /// Checks the history against what the store holds now.
    ///
    /// - Throws: ``EventStoreConformanceFailure`` that names the first contradiction.
    public func check(against events: [StoredEvent]) throws {
        let successes = self.attempts.filter { $0.stored != nil }
            .sorted { $0.stored?.position ?? 0 < $1.stored?.position ?? 0 }
        try expectEqual(
            events.map { "\($0.position) \($0.revision?.description ?? "-") \($0.id)" },
            successes.map { "\($0.stored?.position ?? 0) \($0.stored?.revision ?? 0) \($0.id)" },
            "what is stored, beside what was acknowledged,")
        try self.checkClock(successes)
        let byStream = Dictionary(grouping: successes, by: \.stream)
        for (stream, winners) in byStream {
            for (revision, winner) in winners.enumerated() {
                let found = winner.stored?.revision ?? 0
                try expectEqual(found, UInt64(revision), "the revision of \(winner.id) in \(stream)")
                try expectEqual(
                    winner.expected, revision == 0 ? nil : UInt64(revision - 1),
                    "what \(winner.id) expected when it won revision \(revision) of \(stream)")
            }
        }
        for loser in self.attempts where loser.stored == nil {
            try self.check(loser, winners: byStream[loser.stream] ?? [])
        }
    }

    /// No append stands before one that had ended when it began.
    private func checkClock(_ successes: [Attempt]) throws {
        var earliestEnd = UInt64.max
        for attempt in successes.reversed() {
            try expect(
                attempt.began <= earliestEnd,
                "\(attempt.id) began after a later position had been acknowledged")
            earliestEnd = min(earliestEnd, attempt.ended)
        }
    }

    private func check(_ loser: Attempt, winners: [Attempt]) throws {
        try expect(
            loser.actual != loser.expected,
            "\(loser.id) was refused though the stream was where it expected it")
        let next = loser.actual.map { Int($0) + 1 } ?? 0
        if next > 0 {
            try expect(
                next <= winners.count && winners[next - 1].began <= loser.ended,
                "\(loser.id) was told revision \(next - 1), which nobody had begun to write")
        }
        if next < winners.count {
            try expect(
                winners[next].ended >= loser.began,
                "\(loser.id) was told a revision that had been passed before it began")
        }
    }
}
