/// What is known of the head as of `view.transactionID`; behind the engine's lock.
///
/// The frame that a commit wrote last is not in the index yet when its callers are answered: whoever looks at
/// the index first puts it there, usually the writer thread while the callers go on. So what an index costs
/// is no part of the time that an append takes, and still no reader misses an event that was acknowledged.
struct SharedState {
    var view: ReadView
    private var index: ActiveIndex
    private var last: FrameForIndex?
    private let segmentBytes: Int
    /// Whether the writer's commit is on its way: what is in the index beyond the view is not settled meanwhile.
    var isCommitting = false
    /// What this process did last to the list of hidden streams.
    var hiddenChange: HiddenChange?

    init(view: ReadView, active: ActiveIndex, segmentBytes: Int) {
        self.view = view
        self.index = active
        self.segmentBytes = segmentBytes
    }

    /// The index of the active segment, with all that was committed.
    var active: ActiveIndex {
        mutating _read {
            self.addLast()
            yield self.index
        }
        _modify {
            self.addLast()
            yield &self.index
        }
    }

    /// Whether the index has every event that the view finds in the head, so that the two may be used together.
    ///
    /// It has fewer while it is brought up to date (what was sealed leaves the index before the view says so),
    /// and after a transaction that was not committed.
    var isComplete: Bool {
        mutating get {
            self.addLast()
            return self.coversView
        }
    }

    private var coversView: Bool {
        self.index.chunks[0].first <= self.view.state.sealedEnd && self.index.end >= self.view.end
    }

    /// The view, if it is as of `transaction` or later, and the active segment is known to have nothing of the
    /// stream; takes no longer than a look-up.
    func viewOfSealed(stream: String, since transaction: UInt64) -> ReadView? {
        guard self.last == nil, self.view.transactionID >= transaction, self.coversView,
            self.index.nextRevision(of: stream) == nil
        else { return nil }
        return self.view
    }

    /// Leaves the frame that was just committed for whoever looks at the index next.
    mutating func leave(_ frame: FrameForIndex?) {
        self.addLast()
        self.last = frame
    }

    /// Adds a frame to the index, and begins another chunk once this one is full.
    mutating func add(_ frame: FrameForIndex) {
        self.addLast()
        // A reader who saw the commit may have caught up from the head before it was left here, or a transaction
        // may have failed and emptied the index since its end was looked at: then all is read anew. That no frame
        // is missing in the head is seen to where it is read.
        guard frame.first == self.index.end else { return }
        self.index.append(
            frame.summary, first: frame.first, baseRevisions: frame.baseRevisions, places: frame.places)
        if self.index.growingBytes >= self.segmentBytes { self.index.rotate() }
    }

    @inline(__always)
    private mutating func addLast() {
        guard let frame = self.last else { return }
        self.last = nil
        self.add(frame)
    }
}

/// A frame that was written to the head and is to be added to the index.
struct FrameForIndex: Sendable {
    var summary: FrameSummary
    var first: UInt64
    var baseRevisions: [UInt64]
    /// Where the growing chunk had the frame's streams.
    var places: StreamPlaces?
}
