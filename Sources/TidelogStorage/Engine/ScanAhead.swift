// A scan in two threads: one loads and unpacks frames, the other one uses them.
//
// Invariants:
// - a decoder is in one place: with the thread that loads, in the queue, with the caller, or among the spare
//   ones; so no two threads touch it at the same time;
// - there are at most `capacity` of them, and with them that many frames, however slow the caller is;
// - the caller outlives the thread: it stops and joins it, whatever happens.
import Synchronization

extension LogEngine {
    /// As ``scan(_:_:)``, oldest first, with all parts of a frame unpacked; where there is much to read, frames
    /// are loaded by a thread of their own while `visit` runs on the caller's.
    ///
    /// - Parameters:
    ///   - owning: whether `visit` wants owned events.
    ///   - visit: gets also the selection's events as owned ones, the last one first, to be taken from the end;
    ///     none where they were not made ahead.
    package func scanAhead(
        _ query: RecordQuery, owning: Bool,
        _ visit: (FrameDecoder, FrameSelection, inout [PlacedRecord]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        let view = try self.currentView()
        var rest = query
        var goesOn = true
        if let ahead = ScanAhead.part(of: query, view) {
            var first = query
            first.positions = ahead
            let scan = ScanAhead(self, first, view, owning: owning)
            if scan.start() {
                defer { scan.stop() }
                rest.positions = ahead.upperBound..<max(ahead.upperBound, query.positions.upperBound)
                goesOn = try scan.run(visit)
            }
        }
        guard goesOn, !rest.positions.isEmpty else { return }
        try self.scan(rest, view) { frame, selection throws(StorageError) in
            try frame.require(.all)
            var none: [PlacedRecord] = []
            return try visit(frame, selection, &none)
        }
    }
}

private final class ScanAhead: Sendable {
    private struct Item: Sendable {
        /// In one place at a time: see the invariants above.
        var decoder: Handed<FrameDecoder>
        var selection: FrameSelection
        /// Owned events, the last one first.
        var records: [PlacedRecord] = []

        init(_ frame: FrameDecoder, _ selection: FrameSelection, _ records: [PlacedRecord] = []) {
            (self.decoder, self.selection, self.records) = (Handed(frame), selection, records)
        }

        var frame: FrameDecoder { self.decoder.value }
    }

    private struct State {
        var queue: [Item] = []
        var spare: [Item] = []
        var made = 1
        var isOver = false
        var failure: StorageError?
        var isStopped = false
        var thread: WorkerThread?
    }

    /// Fewer events are read faster by one thread.
    private static let minimumEvents: UInt64 = 8192
    private static let capacity = 16
    /// So many frames at once, or so many free decoders, are worth waking the other thread for.
    private static let wakeCount = 6
    /// The caller is near where no more decoders are on their way to it.
    private static let nearCount = 8

    private let engine: LogEngine
    private let query: RecordQuery
    private let view: ReadView
    private let owning: Bool
    private let state = Lock(State())
    private let filled = WakeSignal()
    private let freed = WakeSignal()
    /// Whether the caller has looked at payloads or metadata, so that they are unpacked ahead.
    private let wantsBodies = Atomic<Bool>(false)
    /// Whether the caller has asked for streams as strings, so that they are made ahead.
    private let wantsStreams = Atomic<Bool>(false)

    init(_ engine: LogEngine, _ query: RecordQuery, _ view: ReadView, owning: Bool) {
        (self.engine, self.query, self.view, self.owning) = (engine, query, view, owning)
    }

    /// The positions of which frames are to be read ahead; nil if none are.
    static func part(of query: RecordQuery, _ view: ReadView) -> Range<UInt64>? {
        let filter = query.filter
        guard query.limit == nil, !query.isBackwards, filter.streams.isEmpty else { return nil }
        // Through the index of the active segment, frames are lent by a cache and cannot be kept.
        let end =
            filter.types == nil && filter.correlation == nil
            ? view.end : min(view.end, view.state.sealedEnd)
        let low = max(query.positions.lowerBound, view.state.firstPosition)
        let high = min(query.positions.upperBound, end)
        return low < high && high - low >= Self.minimumEvents ? low..<high : nil
    }

    // MARK: The caller's thread

    /// Starts to load; false if the system has no thread left.
    func start() -> Bool {
        guard let thread = try? WorkerThread(name: "tidelog-ahead", { [self] in self.load() }) else {
            return false
        }
        self.state.withLock { $0.thread = thread }
        return true
    }

    /// Gives frames to `visit` until it answers false, which this answers then, or they are over.
    func run(
        _ visit: (FrameDecoder, FrameSelection, inout [PlacedRecord]) throws(StorageError) -> Bool
    ) throws(StorageError) -> Bool {
        var items: [Item] = []
        while true {
            let (failure, isOver) = self.state.withLock { state in
                swap(&items, &state.queue)
                return (state.failure, state.isOver)
            }
            for index in items.indices {
                // Taken out, so that whoever takes an event from its end moves it.
                var records: [PlacedRecord] = []
                swap(&records, &items[index].records)
                let item = items[index]
                let unpacked = item.frame.unpackedGroupCount
                guard try visit(item.frame, item.selection, &records) else { return false }
                if item.frame.unpackedGroupCount != unpacked {
                    self.wantsBodies.store(true, ordering: .relaxed)
                }
                if item.frame.hasStrings(.stream) { self.wantsStreams.store(true, ordering: .relaxed) }
                let spare = self.state.withLock { state in
                    state.spare.append(Item(item.frame, item.selection))
                    return state.spare.count
                }
                if spare >= Self.wakeCount { self.freed.wake() }
            }
            if !items.isEmpty {
                items.removeAll(keepingCapacity: true)
                continue
            }
            if let failure { throw failure }
            if isOver { return true }
            self.filled.wait()
        }
    }

    /// Ends the thread.
    func stop() {
        let thread = self.state.withLock { state in
            state.isStopped = true
            defer { state.thread = nil }
            return state.thread
        }
        self.freed.wake()
        thread?.join()
    }

    // MARK: The thread that loads

    private func load() {
        let supply = FrameSupply(FrameDecoder())
        do throws(StorageError) {
            var scan = Scan(engine: self.engine, query: self.query, view: self.view, supply: supply)
            try scan.run { frame, selection throws(StorageError) in
                try frame.require(.all)
                guard let next = self.handOver(self.prepared(frame, selection)) else { return false }
                supply.decoder = next
                return true
            }
            self.end(nil)
        } catch {
            self.end(error)
        }
    }

    private func prepared(_ frame: FrameDecoder, _ selection: FrameSelection) -> Item {
        // What cannot be unpacked is found again by whoever uses the event, and concerns that event alone.
        if self.owning {
            // While the caller is near, it helps: it makes the events of a frame itself.
            if self.state.withLock({ $0.made - $0.spare.count }) <= Self.nearCount {
                return Item(frame, selection)
            }
            var records: [PlacedRecord] = []
            records.reserveCapacity(selection.count)
            let isWhole = try? selection.forEach(backwards: true) { index throws(StorageError) in
                records.append(
                    PlacedRecord(
                        position: frame.position(index), revision: frame.revision(index),
                        record: try frame.record(index)))
                return true
            }
            return Item(frame, selection, isWhole == true ? records : [])
        }
        if self.wantsStreams.load(ordering: .relaxed) { frame.makeStrings(.stream) }
        if self.wantsBodies.load(ordering: .relaxed) {
            _ = try? selection.forEach(backwards: false) { index throws(StorageError) in
                try frame.withPayload(index) { _ in true }
            }
        }
        return Item(frame, selection)
    }

    /// Queues a frame; answers a decoder for the next one, or nil if no more are wanted.
    private func handOver(_ item: Item) -> FrameDecoder? {
        let waiting = self.state.withLock { state in
            state.queue.append(item)
            return state.queue.count
        }
        if waiting >= Self.wakeCount { self.filled.wake() }
        while true {
            let (next, isStopped) = self.state.withLock { state -> (Item?, Bool) in
                if state.isStopped { return (nil, true) }
                if let spare = state.spare.popLast() { return (spare, false) }
                guard state.made < Self.capacity else { return (nil, false) }
                state.made += 1
                return (Item(FrameDecoder(), item.selection), false)
            }
            if let next { return next.frame }
            if isStopped { return nil }
            self.filled.wake()
            self.freed.wait()
        }
    }

    private func end(_ failure: StorageError?) {
        self.state.withLock { state in
            state.failure = failure
            state.isOver = true
        }
        self.filled.wake()
    }
}

/// The decoder that a scan loads the next frame into.
final class FrameSupply {
    var decoder: FrameDecoder

    init(_ decoder: FrameDecoder) { self.decoder = decoder }
}
