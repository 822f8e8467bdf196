/// When a delivery that failed is tried again, and when it is given up on.
///
/// ```swift
/// settings.retry = .exponential(from: .milliseconds(100), upTo: .seconds(60), maximumDeliveries: 10)
/// settings.retry.isPermanent = { $0 is DecodingError }
/// ```
public struct RetryPolicy: Sendable {
    /// How long to wait before the second delivery. Default: 1 s.
    public var initialDelay: Duration = .seconds(1)
    /// What the delay is multiplied by for each further one; 1 keeps it. Default: 2.
    public var factor: Double = 2
    /// The longest delay. Default: 5 minutes.
    public var maximumDelay: Duration = .seconds(300)
    /// The part of the delay, from 0 to 1, that is drawn at random, so that what failed together does not
    /// come back together. Default: 0.2.
    public var jitter: Double = 0.2
    /// Deliveries after which an event becomes a dead letter; nil: it is tried for ever. Default: 5.
    public var maximumDeliveries: Int? = 5
    /// Errors that make an event a dead letter at once. This is the member's own; it is not kept in the log.
    /// Default: none.
    public var isPermanent: @Sendable (any Error) -> Bool = { _ in false }

    /// The defaults: after 1 s, then twice as long each time, up to 5 minutes and 5 deliveries.
    public init() {}

    /// Tries again at once.
    public static func immediate(maximumDeliveries: Int? = 5) -> Self {
        .fixed(.zero, maximumDeliveries: maximumDeliveries)
    }

    /// Tries again after the same time always.
    public static func fixed(_ delay: Duration, maximumDeliveries: Int? = 5) -> Self {
        var policy = Self()
        (policy.initialDelay, policy.maximumDelay) = (delay, delay)
        (policy.factor, policy.jitter) = (1, 0)
        policy.maximumDeliveries = maximumDeliveries
        return policy
    }

    /// Waits longer each time.
    public static func exponential(
        from initial: Duration = .seconds(1), factor: Double = 2, upTo maximum: Duration = .seconds(300),
        jitter: Double = 0.2, maximumDeliveries: Int? = 5
    ) -> Self {
        var policy = Self()
        (policy.initialDelay, policy.maximumDelay) = (initial, maximum)
        (policy.factor, policy.jitter) = (factor, jitter)
        policy.maximumDeliveries = maximumDeliveries
        return policy
    }

    /// How long to wait after delivery number `count`, in nanoseconds.
    ///
    /// - Parameter random: decides the jitter.
    func delay(after count: UInt32, random: UInt64) -> UInt64 {
        let maximum = Double(self.maximumDelay.wholeNanoseconds)
        var delay = Double(self.initialDelay.wholeNanoseconds)
        var step: UInt32 = 1
        while step < min(count, 1000), delay < maximum {
            delay *= self.factor
            step += 1
        }
        delay = min(delay, maximum)
        let fraction = Double(random >> 11) / Double(1 << 53)
        return UInt64(max(0, delay - delay * self.jitter * fraction))
    }

    func fault() -> String? {
        if self.initialDelay < .zero || self.maximumDelay < self.initialDelay {
            return "the delays of the retry policy must not be negative, nor the longest below the first"
        }
        if !(1...1000).contains(self.factor) {
            return "the retry policy's factor must lie between 1 and 1000"
        }
        if !(0...1).contains(self.jitter) { return "the retry policy's jitter must lie between 0 and 1" }
        if let maximumDeliveries, maximumDeliveries < 1 { return "an event needs one delivery at the least" }
        return nil
    }
}

extension Duration {
    /// Nanoseconds, at most what fits.
    var wholeNanoseconds: UInt64 {
        guard self > .zero else { return 0 }
        let (seconds, attoseconds) = self.components
        let whole = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return whole.overflow || whole.partialValue > UInt64.max / 4
            ? UInt64.max / 4 : whole.partialValue + UInt64(attoseconds / 1_000_000_000)
    }
}
