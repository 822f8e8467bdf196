import Glibc

/// The log's engine: the head, the sealed segments, and what is cached of them in memory.
///
/// Everything in `shared` is a cache of the head. It is brought up to date from the head when a transaction
/// id says that somebody, here or in another process, has committed since (see `LogEngine+Refresh.swift`).
package final class LogEngine: Sendable {
    package let directory: String
    package let options: EngineOptions
    let head: Head
    let shared: Lock<SharedState>
    /// Held while the cache is brought up to date, so that it is done once.
    let refreshing = Lock(())
    let segments: SegmentCache
    let frames: FrameCache
    let streams: StreamCache
    let dictionaries: HeadDictionaries
    let encoders: EncoderPool
    package let notifier: ChangeNotifier
    let writer: LogWriter?
    let maintenance: Maintenance
    /// Threads for calls that block, for the layer above too.
    package let pool: WorkerPool
    private let isClosed = Lock(false)

    /// Opens or creates the log in `directory` and recovers it.
    package init(directory: String, options: EngineOptions) throws(StorageError) {
        // Through a symbolic link to the directory it is the same log.
        let directory = Files.resolved(directory)
        self.directory = directory
        self.options = options
        self.head = try Head.open(directory: directory, options: options)
        let state = try self.head.state()
        self.shared = Lock(
            SharedState(
                view: ReadView(state: state, transactionID: 0, end: state.sealedEnd),
                active: ActiveIndex(first: state.sealedEnd), segmentBytes: options.segmentBytes))
        self.segments = SegmentCache(
            directory: directory + "/segments", logID: state.logID, limit: options.openSegments)
        self.frames = FrameCache(limit: options.cachedFrames)
        self.streams = StreamCache(limit: options.streamCacheBytes)
        self.pool = WorkerPool(name: "tidelog-read", size: 4)
        self.dictionaries = HeadDictionaries(level: options.headLevel)
        self.encoders = EncoderPool(level: options.headLevel)
        self.notifier = ChangeNotifier(interval: options.pollInterval)
        self.maintenance = Maintenance()
        self.writer = options.isReadOnly ? nil : LogWriter(options: options)
        do throws(StorageError) {
            try self.refresh()
            if !options.isReadOnly {
                try self.removeLeftovers()
                try self.writer?.start(self)
                try self.maintenance.start(self)
            }
            try self.notifier.start(self)
        } catch {
            self.close()
            throw error
        }
    }

    /// Commits what was accepted, waits for readers, and closes. A second call does nothing.
    package func close() {
        let isFirst = self.isClosed.withLock { closed in
            defer { closed = true }
            return !closed
        }
        guard isFirst else { return }
        self.maintenance.stop()
        self.writer?.stop()
        self.encoders.close()
        self.notifier.stop()
        self.pool.shutdown()
        self.segments.removeAll()
        self.frames.removeAll()
        self.streams.removeAll()
        self.head.close()
    }

    /// Whether ``close()`` has been called.
    package var hasClosed: Bool { self.isClosed.withLock { $0 } }
}

/// What readers need to know of the head at one moment.
package struct ReadView: Sendable {
    /// The head's own state.
    package var state: HeadState
    /// The transaction that this was read at.
    package var transactionID: UInt64
    /// The position that the next event gets.
    package var end: UInt64
    /// The sealed segments.
    package var catalogue = SegmentCatalogue([])
    /// Streams of which not everything is visible.
    package var hidden = HiddenStreams()
}

/// The sealed segments in order; they never overlap.
package final class SegmentCatalogue: Sendable {
    package let segments: [SegmentInfo]

    init(_ segments: [SegmentInfo]) {
        self.segments = segments
    }

    /// The index of the first segment that ends above `position`.
    func firstIndex(endingAbove position: UInt64) -> Int {
        var low = 0
        var high = self.segments.count
        while low < high {
            let middle = (low + high) / 2
            if self.segments[middle].positions.upperBound <= position {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The segment that covers `position`.
    func segment(covering position: UInt64) -> SegmentInfo? {
        let index = self.firstIndex(endingAbove: position)
        guard index < self.segments.count, self.segments[index].positions.contains(position) else {
            return nil
        }
        return self.segments[index]
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z by the system's clock.
package func currentNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
