import Glibc

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

extension LogEngine {
    /// Lets appends that came while a slice was written go first, three times as long as the slice took: many
    /// slices in a row would leave them every other turn of the writer at the most.
    ///
    /// Not where so many segments wait to be sealed that appends are about to be held up by that.
    func giveWay(after elapsed: Duration) {
        self.maintenance.noteSlice()
        guard let writer = self.writer, writer.waitingRequests > 0,
            self.fullChunks < self.options.maximumUnsealedSegments, !self.maintenance.isStopping
        else { return }
        self.maintenance.noteWayGiven()
        let pause = min(elapsed * 3, .milliseconds(30))
        usleep(UInt32(pause / .microseconds(1)))
    }
}
