extension LogEngine {
    /// Reads the events that `query` wants, frame by frame, in its order, until `visit` answers false.
    ///
    /// The frame is lent: it holds other events after `visit` has returned. Blocks the calling thread.
    /// No transaction of the head is open while `visit` runs.
    package func scan(
        _ query: RecordQuery,
        _ visit: (FrameDecoder, FrameSelection) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.scan(query, try self.currentView(), visit)
    }

    /// The same as of a view, as far as its segments are still there.
    func scan(
        _ query: RecordQuery, _ view: ReadView,
        _ visit: (FrameDecoder, FrameSelection) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.frames.withDecoder { decoder throws(StorageError) in
            var scan = Scan(engine: self, query: query, view: view, decoder: decoder)
            try scan.run(visit)
        }
    }

    /// How many events satisfy the query; payloads are not decompressed.
    package func count(_ query: RecordQuery) throws(StorageError) -> Int {
        var query = query
        let limit = query.limit ?? .max
        query.limit = nil
        if query.filter.isTypeOnly {
            let total = try self.whileSegmentsStay { view throws(StorageError) -> Int? in
                guard view.hidden.isEmpty else { return nil }
                var scan = Scan(engine: self, query: query, view: view, decoder: FrameDecoder())
                return try scan.countByType()
            }
            if let total { return min(total, limit) }
        }
        var total = 0
        try self.scan(query) { (_, selection) throws(StorageError) in
            total += selection.count
            return total < limit
        }
        return min(total, limit)
    }

    /// Runs `body` with what there is now, and once more if a segment that it needed was replaced meanwhile.
    func whileSegmentsStay<Result>(
        _ body: (ReadView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        while true {
            let view = try self.currentView()
            do throws(StorageError) {
                return try body(view)
            } catch {
                let now = try self.currentView().state.catalogueVersion
                guard error.code == .notFound, now != view.state.catalogueVersion else { throw error }
            }
        }
    }
}

/// One run of a query over the sealed segments and the head.
struct Scan {
    let engine: LogEngine
    let query: RecordQuery
    private var view: ReadView
    private var matcher: FrameMatcher
    private var range: Range<UInt64>
    private var remaining: Int
    private let supply: FrameSupply
    /// Whether a frame stays when its bytes are gone.
    private let keepsFrames: Bool
    private var buffer = FrameBuffer()

    private var decoder: FrameDecoder { self.supply.decoder }

    init(engine: LogEngine, query: RecordQuery, view: ReadView, decoder: FrameDecoder) {
        self.init(engine: engine, query: query, view: view, supply: FrameSupply(decoder), keepsFrames: false)
    }

    /// A scan of which frames are kept: whoever keeps one puts another decoder in its place.
    init(engine: LogEngine, query: RecordQuery, view: ReadView, supply: FrameSupply) {
        self.init(engine: engine, query: query, view: view, supply: supply, keepsFrames: true)
    }

    private init(
        engine: LogEngine, query: RecordQuery, view: ReadView, supply: FrameSupply, keepsFrames: Bool
    ) {
        self.engine = engine
        self.supply = supply
        self.keepsFrames = keepsFrames
        self.query = query
        self.view = view
        self.matcher = FrameMatcher(query.filter, hidden: view.hidden)
        let low = max(query.positions.lowerBound, view.state.firstPosition)
        self.range = low..<max(low, min(query.positions.upperBound, view.end))
        self.remaining = query.limit ?? .max
    }

    typealias Visit = (FrameDecoder, FrameSelection) throws(StorageError) -> Bool

    mutating func run(_ visit: Visit) throws(StorageError) {
        var goesOn = true
        if self.query.limit == nil {
            self.engine.openAhead(self.view.catalogue.segments, self.range, self.query.filter)
        }
        while goesOn, !self.range.isEmpty, self.remaining > 0 {
            goesOn = try self.step(visit)
        }
    }

    /// Reads on within one segment or one batch of the head's frames, and shortens `range` by it.
    private mutating func step(_ visit: Visit) throws(StorageError) -> Bool {
        let sealedEnd = self.view.state.sealedEnd
        let next = self.query.isBackwards ? self.range.upperBound - 1 : self.range.lowerBound
        if next >= sealedEnd { return try self.stepInHead(visit) }

        let catalogue = self.view.catalogue
        var index = catalogue.firstIndex(endingAbove: next)
        if self.query.isBackwards,
            index == catalogue.segments.count
                || catalogue.segments[index].positions.lowerBound > next
        {
            index -= 1
        }
        guard index >= 0, index < catalogue.segments.count else {
            // Nothing is kept in the rest of the sealed range.
            self.range =
                self.query.isBackwards
                ? self.range.lowerBound..<self.range.lowerBound
                : max(self.range.lowerBound, min(sealedEnd, self.range.upperBound))..<self.range.upperBound
            return true
        }
        let info = catalogue.segments[index]
        let part = self.range.clamped(to: info.positions)
        var goesOn = true
        if !part.isEmpty, self.mayMatch(info) {
            do throws(StorageError) {
                let segment = try self.engine.segments.segment(info)
                goesOn = try self.scanSegment(segment, part, visit)
            } catch {
                guard error.code == .notFound, try self.refreshView(without: info) else {
                    throw self.engine.naming(info, in: error)
                }
                return true
            }
        }
        if self.query.isBackwards {
            self.range =
                self.range
                .lowerBound..<max(
                    self.range.lowerBound, min(info.positions.lowerBound, self.range.upperBound))
        } else {
            self.range =
                min(
                    max(info.positions.upperBound, self.range.lowerBound), self.range.upperBound)..<self.range
                .upperBound
        }
        return goesOn
    }

    /// After a segment's file was found missing: whether it has been replaced meanwhile.
    private mutating func refreshView(without info: SegmentInfo) throws(StorageError) -> Bool {
        let view = try self.engine.currentView()
        guard !view.catalogue.segments.contains(info) else { return false }
        self.view = view
        self.matcher = FrameMatcher(self.query.filter, hidden: view.hidden)
        let low = max(self.range.lowerBound, view.state.firstPosition)
        self.range = low..<max(low, self.range.upperBound)
        return true
    }

    private func mayMatch(_ info: SegmentInfo) -> Bool {
        if let since = self.query.filter.since, info.maxTimestamp < since { return false }
        if let until = self.query.filter.until, info.minTimestamp >= until { return false }
        return true
    }

    // MARK: Sealed segments

    private mutating func scanSegment(
        _ segment: Segment, _ part: Range<UInt64>, _ visit: Visit
    ) throws(StorageError) -> Bool {
        if var blocks = try BlockPlan(self.query.filter).blocks(in: segment, part) {
            if let search = RevisionSearch(self.query.filter, segment, self.engine.frames) {
                blocks = try search.narrowed(blocks)
            }
            return try self.visitBlocks(blocks, segment, part, visit)
        }
        let backwards = self.query.isBackwards
        let dictionary = segment.dictionaryProvider
        var goesOn = true
        try segment.forEachBlock(
            from: backwards ? part.upperBound - 1 : part.lowerBound,
            direction: backwards ? .backwards : .forwards
        ) { bytes, first throws(StorageError) in
            if !backwards, first >= part.upperBound { return false }
            try self.decoder.load(
                bytes, expectedFirstPosition: first, copies: self.keepsFrames, verifyBody: false, parts: [],
                dictionary: dictionary)
            goesOn = try self.visitFrame(self.decoder, part, visit)
            return goesOn && (backwards ? first > part.lowerBound : true)
        }
        return goesOn
    }

    /// Visits the blocks that an index proposes.
    private mutating func visitBlocks(
        _ blocks: [Int], _ segment: Segment, _ part: Range<UInt64>, _ visit: Visit
    ) throws(StorageError) -> Bool {
        let dictionary = segment.dictionaryProvider
        var goesOn = true
        if blocks.count > 1, blocks.count <= Segment.prefetchedBlocks { segment.prefetch(blocks) }
        for number in self.query.isBackwards ? blocks.reversed() : blocks where goesOn {
            try segment.withBlock(number) { bytes throws(StorageError) in
                try self.decoder.load(
                    bytes, expectedFirstPosition: segment.blocks[number].firstPosition,
                    copies: self.keepsFrames,
                    verifyBody: false, parts: [], dictionary: dictionary)
                goesOn = try self.visitFrame(self.decoder, part, visit)
            }
        }
        return goesOn
    }

    // MARK: The head

    private mutating func stepInHead(_ visit: Visit) throws(StorageError) -> Bool {
        let part = self.range.clamped(to: self.view.state.sealedEnd..<self.view.end)
        if let candidates = self.engine.activeCandidates(self.query.filter, part, self.view) {
            guard let goesOn = try self.visitHeadCandidates(candidates, visit) else { return true }
            self.range =
                self.query.isBackwards
                ? self.range.lowerBound..<part.lowerBound : part.upperBound..<self.range.upperBound
            return goesOn
        }
        return try self.scanHead(part, visit)
    }

    /// Reads one batch of frames, copied out of a short transaction.
    private mutating func scanHead(_ part: Range<UInt64>, _ visit: Visit) throws(StorageError) -> Bool {
        let backwards = self.query.isBackwards
        let start = backwards ? part.upperBound - 1 : part.lowerBound
        guard try self.engine.copyFrames(from: start, within: part, backwards: backwards, into: &self.buffer)
        else {
            self.view = try self.engine.currentView()  // sealed meanwhile
            return true
        }
        if self.buffer.frames.isEmpty { throw self.engine.missingFrames(at: start, self.view) }
        var goesOn = true
        var reached = backwards ? part.upperBound : part.lowerBound
        for index in self.buffer.frames.indices where goesOn && self.remaining > 0 {
            let first = self.buffer.frames[index].first
            let dictionaries = self.buffer.dictionaries
            try self.buffer.withFrame(index) { bytes throws(StorageError) in
                try self.decoder.load(bytes, expectedFirstPosition: first, parts: []) {
                    (id) throws(StorageError) in try dictionaries.find(id)
                }
            }
            let end = self.decoder.header.lastPosition + 1
            // The first one may begin before the part, or end behind it. What is sealed meanwhile loses its
            // frames from the lowest one on, so there is no gap in that either.
            let follows =
                index == 0
                ? (first..<end).contains(start) : backwards ? end == reached : first == reached
            guard follows else {
                throw self.engine.missingFrames(at: backwards ? reached - 1 : reached, self.view)
            }
            reached = backwards ? first : end
            goesOn = try self.visitFrame(self.decoder, part, visit)
        }
        self.range =
            backwards
            ? self.range.lowerBound..<max(self.range.lowerBound, min(reached, self.range.upperBound))
            : min(reached, self.range.upperBound)..<self.range.upperBound
        return goesOn
    }

    /// Visits the events that the index proposes; nil if some of them have been sealed meanwhile.
    private mutating func visitHeadCandidates(_ candidates: [UInt64], _ visit: Visit) throws(StorageError)
        -> Bool?
    {
        do throws(StorageError) {
            return try self.visitCandidates(candidates, visit)
        } catch {
            guard error.code == .notFound, let position = error.positions?.lowerBound else { throw error }
            self.view = try self.engine.currentView()
            guard position < self.view.state.sealedEnd else {
                throw self.engine.missingFrames(at: position, self.view)
            }
            return nil
        }
    }

    // MARK: Frames

    private mutating func visitFrame(
        _ frame: FrameDecoder, _ part: Range<UInt64>, _ visit: Visit
    ) throws(StorageError) -> Bool {
        let low = frame.firstIndex(atOrAfterPosition: part.lowerBound)
        let high = frame.firstIndex(atOrAfterPosition: part.upperBound)
        guard low < high else { return true }
        var selection = FrameSelection(range: low..<high, indices: nil)
        if !self.matcher.acceptsEverything {
            selection.indices = try self.matcher.select(frame, in: low..<high)
            if selection.count == 0 { return true }
        }
        selection.truncate(to: self.remaining, backwards: self.query.isBackwards)
        self.remaining -= selection.count
        return try visit(frame, selection) && self.remaining > 0
    }

    /// Visits the frames that hold candidates, and in each the candidates that satisfy the filter.
    private mutating func visitCandidates(
        _ candidates: [UInt64], _ visit: Visit
    ) throws(StorageError) -> Bool {
        let ordered = self.query.isBackwards ? candidates.reversed() : candidates
        var next = 0
        var goesOn = true
        while next < ordered.count, goesOn {
            try self.engine.frames.withHeadFrame(self.engine, containing: ordered[next]) {
                frame throws(StorageError) in
                let span = frame.header.firstPosition...frame.header.lastPosition
                var indices: ContiguousArray<Int32> = []
                let before = next
                while next < ordered.count, span.contains(ordered[next]) {
                    let index = frame.firstIndex(atOrAfterPosition: ordered[next])
                    if index < frame.count, frame.position(index) == ordered[next] {
                        indices.append(Int32(index))
                    }
                    next += 1
                }
                if next == before { next += 1 }  // compacted away
                // What has been visited is not visited again if the rest is found sealed meanwhile.
                self.range =
                    self.query.isBackwards
                    ? self.range.lowerBound..<max(self.range.lowerBound, span.lowerBound)
                    : min(self.range.upperBound, span.upperBound + 1)..<self.range.upperBound
                if self.query.isBackwards { indices.reverse() }
                let kept = try self.matcher.select(frame, in: 0..<frame.count, candidates: indices)
                var selection = FrameSelection(range: 0..<0, indices: kept)
                guard selection.count > 0 else { return }
                selection.truncate(to: self.remaining, backwards: self.query.isBackwards)
                self.remaining -= selection.count
                goesOn = try visit(frame, selection) && self.remaining > 0
            }
        }
        return goesOn
    }

    // MARK: Counting

    /// Counts where only the type matters: sealed segments keep the numbers.
    mutating func countByType() throws(StorageError) -> Int {
        guard let types = self.query.filter.types else { return 0 }
        var total = 0
        var whole = self.range
        for info in self.view.catalogue.segments where self.range.overlaps(info.positions) {
            if info.positions.lowerBound >= whole.lowerBound, info.positions.upperBound <= whole.upperBound {
                for (type, count) in try self.engine.segments.segment(info).typeCounts()
                where types.matches(type) {
                    total += count
                }
            } else {
                var scan = self
                scan.range = whole.clamped(to: info.positions)
                try scan.run { (_, selection) throws(StorageError) in
                    total += selection.count
                    return true
                }
            }
        }
        whole = whole.clamped(to: self.view.state.sealedEnd..<UInt64.max)
        if !whole.isEmpty, whole.lowerBound >= self.view.state.sealedEnd {
            self.range = whole
            try self.run { (_, selection) throws(StorageError) in
                total += selection.count
                return true
            }
        }
        return total
    }
}
