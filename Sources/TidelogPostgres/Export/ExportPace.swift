#if Postgres
    /// How much of its time a continuous export works: a state machine without a clock or a log.
    ///
    /// Invariants:
    /// - While nobody appends it never rests.
    /// - While somebody appends it works for the least share of the time; but as long as less is exported than is
    ///   appended, the share is doubled every few seconds, up to all of the time. So the lag grows no longer than
    ///   the database would let it grow anyway.
    struct ExportPace: Sendable {
        /// The share of the time that it works while somebody appends, unless that is too little.
        static let leastShare = 0.1
        /// So many events a second and more count as somebody appending.
        static let busyRate = 20.0
        /// How long a look at the rate of appends takes.
        static let lookInterval: Duration = .milliseconds(250)
        /// How often the share is judged.
        static let judgeInterval: Duration = .seconds(10)
        /// The longest rest after a batch.
        static let longestRest: Duration = .seconds(5)
        /// Bytes of a batch while somebody appends, so that what the app notices of one is short.
        static let smallBatchBytes = 512 << 10

        private let isYielding: Bool
        private var look: (at: Duration, end: UInt64)?
        private var window: (from: Duration, end: UInt64, next: UInt64)?
        private(set) var share = Self.leastShare
        /// Whether somebody appends; nil before that is known.
        private(set) var isBusy: Bool?

        init(_ pace: PostgresExportConfiguration.Pace) { self.isYielding = pace == .yieldToAppends }

        /// Notes where the log ends.
        mutating func note(end: UInt64, now: Duration) {
            guard let look, end >= look.end else {
                self.look = (now, end)
                return
            }
            guard now - look.at >= Self.lookInterval else { return }
            self.isBusy = Double(end - look.end) / ((now - look.at) / .seconds(1)) >= Self.busyRate
            self.look = (now, end)
        }

        /// Bytes of the next batch, of `most` at the most.
        func batchBytes(_ most: Int) -> Int {
            self.isYielding && self.isBusy != false ? min(most, Self.smallBatchBytes) : most
        }

        /// How long to rest after a batch.
        ///
        /// - Parameters:
        ///   - work: how long the batch took.
        ///   - next: where the database stands after it.
        ///   - end: where the log ends.
        mutating func rest(after work: Duration, next: UInt64, end: UInt64, now: Duration) -> Duration {
            guard self.isYielding, self.isBusy == true else {
                self.window = nil
                self.share = Self.leastShare
                return .zero
            }
            let window = self.window ?? (now, end, next)
            self.window = window
            if now - window.from >= Self.judgeInterval {
                let appended = end - min(end, window.end)
                let exported = next - min(next, window.next)
                if exported < appended {
                    self.share = min(1, self.share * 2)
                } else if exported / 2 > appended {
                    self.share = max(Self.leastShare, self.share / 2)
                }
                self.window = (now, end, next)
            }
            return min(Self.longestRest, work * (1 / self.share - 1))
        }
    }
#endif
