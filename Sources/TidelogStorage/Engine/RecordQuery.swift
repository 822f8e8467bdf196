/// Which events a read wants, and in which order.
package struct RecordQuery: Sendable {
    /// Positions to look at.
    package var positions: Range<UInt64> = 0..<UInt64.max
    /// Whether the newest comes first.
    package var isBackwards = false
    /// The most events to answer, if there is a limit.
    package var limit: Int?
    /// What the events must satisfy.
    package var filter = RecordFilter()

    package init() {}
}

/// What an event must satisfy; everything that is set must hold at once.
package struct RecordFilter: Sendable {
    /// The event belongs to one of these streams; empty for no demand.
    package var streams: [String] = []
    /// The event's stream begins with this text.
    package var streamPrefix: String?
    /// The event's revision lies in this range (and so it has a stream).
    package var revisions: Range<UInt64>?
    /// The event's type is accepted.
    package var types: TypeMatcher?
    /// The event's timestamp is at or after this moment.
    package var since: Int64?
    /// The event's timestamp is before this moment.
    package var until: Int64?
    package var correlation: Identifier?
    package var causation: Identifier?
    package var source: String?
    package var tenant: String?

    package init() {}

    /// Accepts types; a list of exact names where they are known, so that indexes can be asked.
    package struct TypeMatcher: Sendable {
        package var matches: @Sendable (String) -> Bool

        package init(matches: @escaping @Sendable (String) -> Bool) {
            self.matches = matches
        }
    }

    /// Whether every event satisfies it.
    var isEmpty: Bool {
        self.streams.isEmpty && self.streamPrefix == nil && self.revisions == nil && self.types == nil
            && self.since == nil && self.until == nil && self.correlation == nil && self.causation == nil
            && self.source == nil && self.tenant == nil
    }

    /// Whether only the type is asked for, so that counts per type answer it.
    var isTypeOnly: Bool {
        guard self.types != nil else { return false }
        var rest = self
        rest.types = nil
        return rest.isEmpty
    }
}

/// Applies a filter to a decoded frame, over its envelope columns alone.
struct FrameMatcher {
    private let filter: RecordFilter
    private let hidden: HiddenStreams
    private let streams: Set<ExactText>
    private var selected: ContiguousArray<Int32> = []

    init(_ filter: RecordFilter, hidden: HiddenStreams) {
        self.filter = filter
        self.hidden = hidden
        self.streams = Set(filter.streams.map { ExactText($0) })
    }

    /// Whether nothing needs to be looked at to know that every event satisfies it.
    var acceptsEverything: Bool { self.filter.isEmpty && self.hidden.isEmpty }

    /// The events of the frame in `range`, or those of `candidates`, that satisfy the filter, ascending.
    mutating func select(
        _ frame: FrameDecoder, in range: Range<Int>, candidates: ContiguousArray<Int32>? = nil
    ) throws(StorageError) -> ContiguousArray<Int32> {
        self.selected.removeAll(keepingCapacity: true)
        let header = frame.header
        if let since = self.filter.since, header.maxTimestamp < since { return [] }
        if let until = self.filter.until, header.minTimestamp >= until { return [] }
        var isStreamChecked = false
        if let candidates {
            self.selected = candidates
        } else if self.streams.count == 1, let stream = self.streams.first, !frame.has(.streams) {
            isStreamChecked = true
            for index in try frame.events(ofStream: stream.text) where range.contains(index) {
                self.selected.append(Int32(truncatingIfNeeded: index))
            }
            if self.selected.isEmpty { return [] }
        } else {
            self.selected.reserveCapacity(range.count)
            for index in range { self.selected.append(Int32(index)) }
        }
        if self.filter.types != nil {
            let matches = self.filter.types!.matches
            try self.keep(frame, .type) { matches($0 ?? "") }
        }
        if isStreamChecked {
        } else if self.streams.count == 1, let stream = self.streams.first {
            try self.keepStream(frame, stream.text)
        } else if !self.streams.isEmpty {
            let streams = self.streams
            try self.keep(frame, .stream) { $0.map { streams.contains(ExactText($0)) } ?? false }
        }
        if let prefix = self.filter.streamPrefix {
            try self.keep(frame, .stream) { $0?.utf8.starts(with: prefix.utf8) ?? false }
        }
        if let source = self.filter.source { try self.keep(frame, .source) { $0.isExactly(source) } }
        if let tenant = self.filter.tenant { try self.keep(frame, .tenant) { $0.isExactly(tenant) } }
        if let wanted = self.filter.correlation {
            try self.keep(frame, .correlation, identifier: wanted)
        }
        if let wanted = self.filter.causation { try self.keep(frame, .causation, identifier: wanted) }
        try self.keepTimes(frame)
        try self.keepVisible(frame)
        return self.selected
    }

    private mutating func keep(
        _ frame: FrameDecoder, _ column: FrameColumn, _ accepts: (String?) -> Bool
    ) throws(StorageError) {
        guard !self.selected.isEmpty else { return }
        try frame.require(.column(column))
        let distinct = frame.distinctCount(column)
        var wanted = ContiguousArray<Bool>(repeating: false, count: distinct)
        for entry in 0..<distinct { wanted[entry] = accepts(frame.distinctText(column, entry)) }
        self.keep(frame, column, wanted: wanted)
    }

    /// Compares names byte by byte: a frame may hold a thousand streams, and no string is made of them.
    private mutating func keepStream(_ frame: FrameDecoder, _ stream: String) throws(StorageError) {
        try frame.require(.column(.stream))
        let distinct = frame.distinctCount(.stream)
        var wanted = ContiguousArray<Bool>(repeating: false, count: distinct)
        var name = stream
        name.withUTF8 { name in
            for entry in 0..<distinct {
                wanted[entry] = frame.withDistinctText(.stream, entry) { text in
                    guard let text, text.count == name.count else { return false }
                    return text.elementsEqual(UnsafeRawBufferPointer(name))
                }
            }
        }
        self.keep(frame, .stream, wanted: wanted)
    }

    private mutating func keep(
        _ frame: FrameDecoder, _ column: FrameColumn, identifier: Identifier
    ) throws(StorageError) {
        guard !self.selected.isEmpty else { return }
        try frame.require(.column(column))
        let distinct = frame.distinctCount(column)
        var wanted = ContiguousArray<Bool>(repeating: false, count: distinct)
        for entry in 0..<distinct {
            wanted[entry] = frame.distinctIdentifier(column, entry) == identifier
        }
        self.keep(frame, column, wanted: wanted)
    }

    private mutating func keep(
        _ frame: FrameDecoder, _ column: FrameColumn, wanted: ContiguousArray<Bool>
    ) {
        if !wanted.contains(true) { return self.selected.removeAll(keepingCapacity: true) }
        if !wanted.contains(false) { return }
        let kept = frame.withCodes(column) { codes in
            self.selected.withUnsafeMutableBufferPointer { selected in
                wanted.withUnsafeBufferPointer { wanted in
                    var kept = 0
                    for index in selected.indices {
                        let event = selected[index]
                        selected[kept] = event
                        kept += wanted[Int(codes[Int(event)])] ? 1 : 0
                    }
                    return kept
                }
            }
        }
        self.selected.removeLast(self.selected.count - kept)
    }

    private mutating func keepTimes(_ frame: FrameDecoder) throws(StorageError) {
        let since = self.filter.since ?? .min
        let header = frame.header
        let until = self.filter.until
        if header.minTimestamp >= since, until.map({ header.maxTimestamp < $0 }) ?? true { return }
        try frame.require(.timestamps)
        self.selected.removeAll { event in
            let timestamp = frame.timestamp(Int(event))
            return timestamp < since || (until.map { timestamp >= $0 } ?? false)
        }
    }

    private mutating func keepVisible(_ frame: FrameDecoder) throws(StorageError) {
        if let revisions = self.filter.revisions {
            try frame.require([.column(.stream), .revisions])
            self.selected.removeAll { event in
                frame.revision(Int(event)).map { !revisions.contains($0) } ?? true
            }
        }
        guard !self.hidden.isEmpty, !self.selected.isEmpty else { return }
        try frame.require([.column(.stream), .revisions])
        let distinct = frame.distinctCount(.stream)
        var lowest = ContiguousArray<UInt64>(repeating: 0, count: distinct)
        var hides = false
        for entry in 0..<distinct {
            guard let name = frame.distinctText(.stream, entry),
                let bound = self.hidden[ExactText(name)]
            else { continue }
            lowest[entry] = bound
            hides = true
        }
        guard hides else { return }
        var kept = 0
        for index in self.selected.indices {
            let event = self.selected[index]
            let bound = lowest[frame.code(.stream, Int(event))]
            let isVisible = bound == 0 || (bound < .max && (frame.revision(Int(event)) ?? 0) >= bound)
            if isVisible {
                self.selected[kept] = event
                kept += 1
            }
        }
        self.selected.removeLast(self.selected.count - kept)
    }
}
