#if Postgres
    /// What an exporter does next: a state machine without a clock, a log or a connection.
    ///
    /// Invariants:
    /// - Only what the database answers moves `next`: the checkpoint there is the truth.
    /// - After any error the connection is dropped, and the next one begins by reading the checkpoint.
    /// - An error after which going on could do harm halts the machine until a person resumes it.
    struct ExportMachine {
        /// What to do.
        enum Step: Equatable {
            /// Connect, compare, and say ``ExportMachine/connected(next:now:)``.
            case connect
            /// Export a batch from this position, and say ``ExportMachine/exported(next:now:)``.
            case export(from: UInt64)
            /// Let go of the connection, if there is one, and wait to be woken, at most so long.
            case rest(Duration?)
            /// Keep the connection and wait to be woken, at most so long.
            case wait(Duration?)
            /// See whether the connection still stands, and say ``ExportMachine/probed(now:)``.
            case probe
            /// Nothing is left to do.
            case end
        }

        /// How long to wait before trying again.
        struct Backoff {
            var first: Duration = .milliseconds(500)
            var most: Duration = .seconds(60)

            /// The delay before the `attempt`th try, from 1: doubled each time up to `most`, of which a random
            /// half is taken off, so that a thousand devices do not come back at once.
            func delay(attempt: Int, random: Double) -> Duration {
                let doublings = min(max(attempt - 1, 0), 30)
                let full = min(self.most, self.first * (1 << doublings))
                return full * (1 - random / 2)
            }
        }

        private enum Phase { case offline, connected, halted, ended }

        /// Whether it goes on when everything is exported.
        let isContinuous: Bool
        let backoff: Backoff
        /// How often in a row connecting or exporting may fail before a machine that is not continuous ends.
        let attempts: Int
        /// How long events may wait for others to go with, once everything before them is exported.
        let gathering: Duration
        /// How long an idle connection is believed in.
        static let probeInterval: Duration = .seconds(15)
        /// So many waiting events are not kept waiting.
        let fullBatch: UInt64

        private var phase = Phase.offline
        private(set) var isPaused = false
        /// Where the database stands; nil before it was asked.
        private(set) var next: UInt64?
        /// Failures in a row.
        private(set) var failures = 0
        private var retryAt: Duration?
        private var waitingSince: Duration?
        private var restUntil = Duration.zero
        private var lastContact = Duration.zero
        /// The last failure, until an export or a comparison succeeds.
        private(set) var lastError: PostgresError?
        private var stop: (target: UInt64, deadline: Duration)?
        /// Where a machine that is not continuous ends: where the log ended at first.
        private var target: UInt64?

        init(
            isContinuous: Bool, backoff: Backoff = .init(), attempts: Int = 5,
            gathering: Duration = .milliseconds(50), fullBatch: UInt64 = 5000
        ) {
            self.isContinuous = isContinuous
            self.backoff = backoff
            self.attempts = attempts
            self.gathering = gathering
            self.fullBatch = fullBatch
        }

        /// What to do at the time `now`, when the log ends at `end`.
        mutating func step(now: Duration, end: UInt64) -> Step {
            if self.phase == .ended { return .end }
            if let stop {
                let isDrained = self.phase == .connected && (self.next ?? 0) >= stop.target
                if isDrained || now >= stop.deadline || self.phase == .halted || self.isPaused {
                    self.phase = .ended
                    return .end
                }
            }
            if self.isPaused { return .rest(nil) }
            switch self.phase {
            case .ended: return .end
            case .halted: return .rest(nil)
            case .offline:
                guard let retryAt, retryAt > now else { return .connect }
                return .rest(self.untilStop(retryAt - now, now))
            case .connected:
                if self.isContinuous { return self.stepConnected(now: now, end: end) }
                let target = self.target ?? end
                self.target = target
                return self.stepConnected(now: now, end: target)
            }
        }

        private mutating func stepConnected(now: Duration, end: UInt64) -> Step {
            let next = self.next ?? 0
            guard next < end else {
                self.waitingSince = nil
                if self.isContinuous {
                    let left = self.lastContact + Self.probeInterval - now
                    return left > .zero ? .wait(self.untilStop(left, now)) : .probe
                }
                self.settled()
                self.phase = .ended
                return .end
            }
            if self.isContinuous, self.stop == nil, now < self.restUntil {
                return .wait(self.restUntil - now)
            }
            guard self.isContinuous, self.stop == nil, end - next < self.fullBatch else {
                return .export(from: next)
            }
            let since = self.waitingSince ?? now
            self.waitingSince = since
            let ready = since + self.gathering
            return now >= ready ? .export(from: next) : .wait(ready - now)
        }

        private func untilStop(_ delay: Duration?, _ now: Duration) -> Duration? {
            guard let stop else { return delay }
            return min(delay ?? .seconds(3600), max(.zero, stop.deadline - now))
        }

        /// The database was reached, and log and database were compared.
        mutating func connected(next: UInt64, now: Duration) {
            if self.phase == .ended { return }
            self.lastContact = now
            // Who was paused while it connected lets go of the connection, and has none when it is resumed.
            self.phase = self.isPaused ? .offline : .connected
            self.next = next
            self.retryAt = nil
            self.waitingSince = nil
        }

        /// A batch is in the database.
        mutating func exported(next: UInt64, now: Duration) {
            self.lastContact = now
            self.next = next
            self.failures = 0
            self.lastError = nil
            self.waitingSince = nil
        }

        /// Exports nothing before this time, unless it is stopping.
        mutating func rest(until time: Duration) { self.restUntil = time }

        /// The idle connection stands.
        mutating func probed(now: Duration) { self.lastContact = now }

        /// Everything is in the database that was to be exported.
        mutating func settled() {
            self.failures = 0
            self.lastError = nil
        }

        /// Connecting, comparing or exporting failed.
        mutating func failed(_ error: PostgresError, now: Duration, random: Double) {
            if self.phase == .ended { return }
            self.lastError = error
            self.failures += 1
            self.waitingSince = nil
            if error.code == .closed {
                self.phase = .ended
            } else if error.mustHalt {
                self.phase = self.isContinuous ? .halted : .ended
            } else if !self.isContinuous, !error.isTransient || self.failures >= self.attempts {
                self.phase = .ended
            } else {
                self.phase = .offline
                self.retryAt = now + self.backoff.delay(attempt: self.failures, random: random)
            }
        }

        /// Stops exporting until ``resume()``; what is in the database stays.
        mutating func pause() {
            self.isPaused = true
            if self.phase == .connected { self.phase = .offline }
        }

        /// Goes on after a pause or a halt, at once.
        mutating func resume() {
            self.isPaused = false
            self.retryAt = nil
            if self.phase == .halted { self.phase = .offline }
        }

        /// Ends once everything before `target` is exported, but no later than `deadline`.
        mutating func stop(target: UInt64, deadline: Duration) {
            if let earlier = self.stop {
                self.stop = (min(earlier.target, target), min(earlier.deadline, deadline))
            } else {
                self.stop = (target, deadline)
            }
            self.waitingSince = nil
        }

        /// For people and programs.
        var state: PostgresExportStatus.State {
            if self.phase == .ended { return .stopped }
            if self.isPaused { return .paused }
            switch self.phase {
            case .halted: return .halted
            case .connected: return .connected
            default: return self.lastError == nil ? .connecting : .offline
            }
        }
    }
#endif
