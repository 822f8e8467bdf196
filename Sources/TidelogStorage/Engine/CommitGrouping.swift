/// Decides when the writer lets callers come back before it commits.
///
/// A commit costs two flushes of the disk, whatever is in it. Callers who append one event after the other come
/// back some microseconds after their answer; by then the writer is committing those who came during the
/// commit before. So callers would fall into two halves that take turns, and each would wait for two commits.
/// Where the writer gives the first half that moment, all of them share one commit.
///
/// Nobody knows whether a caller comes back. So the writer waits no longer than a part of a sync after it has
/// answered, and where that was in vain it does not try again for some turns, for more of them each time. A
/// caller who is alone is never waited for.
struct CommitGrouping {
    /// Requests that make a commit of all: those that came during the last one, and those answered after it.
    private var expected = 0
    /// Until when to wait for them.
    private var deadline = ContinuousClock.now
    /// How many waits in a row were in vain.
    private var misses = 0
    /// Turns until waiting is tried again.
    private var pause = 0
    private static let longestPause = 256
    private static let longestWait: Duration = .milliseconds(2)

    /// Notes that callers were answered.
    ///
    /// - Parameters:
    ///   - answered: how many.
    ///   - queued: how many requests had come before the first of them was answered.
    ///   - syncTime: how long the disk took for their commit.
    mutating func noteAnswers(
        _ answered: Int, queued: Int, syncTime: Duration, at now: ContinuousClock.Instant
    ) {
        // One in eight may be late, or gone for good.
        self.expected = queued + answered - answered / 8
        self.deadline = now + min(syncTime * 3 / 4, Self.longestWait)
        if self.pause > 0 {
            self.pause -= 1
            self.expected = 0
        }
    }

    /// For how many requests to wait, and for how long; nil to commit those that wait now.
    mutating func plan(waiting: Int, at now: ContinuousClock.Instant) -> (goal: Int, patience: Duration)? {
        guard self.expected > waiting, now < self.deadline else {
            self.expected = 0
            return nil
        }
        return (self.expected, self.deadline - now)
    }

    /// Notes whether those who were waited for came in time.
    mutating func noteWait(reached: Bool) {
        self.expected = 0
        self.misses = reached ? 0 : min(self.misses + 1, 8)
        if !reached { self.pause = min(1 << self.misses, Self.longestPause) }
    }
}
