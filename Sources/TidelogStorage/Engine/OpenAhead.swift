import Synchronization

// Opening several segments at once. A segment that nobody has looked at yet costs some ten reads of the disk
// that wait for each other: its table, its directory, a page of the index, the blocks. A read that is going to
// look at many segments waits for all of those at the same time.
extension LogEngine {
    /// How many threads open segments for one read, the reader's own among them.
    private static let openingThreads = 5

    /// Opens the segments that overlap `range` and are not open yet, if there are several, and asks the kernel
    /// for the blocks that hold events of a stream or a correlation which `filter` names.
    ///
    /// Only a hint: whatever fails is left to whoever reads the segment.
    func openAhead(_ segments: [SegmentInfo], _ range: Range<UInt64>, _ filter: RecordFilter) {
        guard !filter.streams.isEmpty || filter.correlation != nil else { return }
        var unopened: [SegmentInfo] = []
        for info in segments where info.positions.overlaps(range) && !self.segments.isOpen(info) {
            if let since = filter.since, info.maxTimestamp < since { continue }
            if let until = filter.until, info.minTimestamp >= until { continue }
            unopened.append(info)
            // Of more than stay open the first would be closed again before they are read.
            if unopened.count >= self.segments.capacity / 2 { break }
        }
        guard unopened.count > 1 else { return }
        let plan = BlockPlan(filter)
        let work = SharedWork(count: unopened.count) { [self, unopened] index in
            guard let segment = try? self.segments.segment(unopened[index]),
                let blocks = try? plan.blocks(in: segment, range)
            else { return }
            if blocks.count <= Segment.prefetchedBlocks { segment.prefetch(blocks) }
        }
        for _ in 1..<min(Self.openingThreads, unopened.count) {
            _ = self.pool.submit { work.help() }
        }
        work.finish()
    }
}

/// Pieces of work that one thread must see done, and in which others may help.
///
/// A helper that gets to it too late finds nothing to do, and the one who waits does whatever no helper has
/// begun; so it is done also where every helper is busy, or is waiting for other work of this kind.
final class SharedWork: Sendable {
    private let count: Int
    private let body: @Sendable (Int) -> Void
    private let next = Atomic<Int>(0)
    private let helpers = Lock(0)
    private let helperLeft = WakeSignal()

    init(count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        self.count = count
        self.body = body
    }

    /// Takes part until there is nothing left to begin.
    func help() {
        self.helpers.withLock { $0 += 1 }
        self.run()
        self.helpers.withLock { $0 -= 1 }
        self.helperLeft.wake()
    }

    /// Does what nobody else has begun, and waits for those who have.
    func finish() {
        self.run()
        while self.helpers.withLock({ $0 > 0 }) { self.helperLeft.wait() }
    }

    private func run() {
        while case let index = self.next.add(1, ordering: .acquiringAndReleasing).oldValue,
            index < self.count
        {
            self.body(index)
        }
    }
}
