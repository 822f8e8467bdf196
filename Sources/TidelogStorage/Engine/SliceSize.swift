/// How much of a long change to the head goes into one transaction: as much as takes some milliseconds, for
/// the writer commits nothing else meanwhile, and nobody is to wait for more than 20 ms.
struct SliceSize {
    private(set) var count: Int
    private let bounds: ClosedRange<Int>

    /// Below this a slice could be larger, above that it should be smaller.
    private static let aim: ClosedRange<Duration> = .milliseconds(2) ... .milliseconds(6)

    init(_ count: Int, in bounds: ClosedRange<Int>) {
        self.count = count
        self.bounds = bounds
    }

    /// Learns from how long the writer took for the last slice.
    mutating func adapt(to elapsed: Duration) {
        if elapsed < Self.aim.lowerBound { self.count = min(self.count * 2, self.bounds.upperBound) }
        if elapsed > Self.aim.upperBound { self.count = max(self.count / 2, self.bounds.lowerBound) }
    }
}

extension LogWriter {
    /// As ``perform(_:)``; answers how long the change kept the writer from other work.
    func performTimed(
        _ body: @escaping @Sendable (borrowing HeadTransaction) throws(StorageError) -> Void
    ) throws(StorageError) -> Duration {
        let start = Lock(ContinuousClock.now)
        try self.perform { transaction throws(StorageError) in
            start.withLock { $0 = .now }
            try body(transaction)
        }
        return ContinuousClock.now - start.withLock { $0 }
    }
}
