/// Something that verification found.
package struct RecoveryFinding: Sendable, Hashable, CustomStringConvertible {
    /// What is concerned.
    package enum Kind: String, Sendable, CaseIterable {
        /// The head's file as a whole: it is missing, cut short, or no head.
        case headFile
        /// Pages of the head's file: trees that LMDB could not walk safely.
        case headPages
        /// A value of the head that does not match its checksum or cannot be understood.
        case headValue
        /// A frame of events in the head.
        case headFrame
        /// Positions that should hold events and do not.
        case missingEvents
        /// A stream whose revisions do not follow each other, or whose head says something else.
        case stream
        /// The catalogue of segments does not hold together.
        case catalogue
        /// A segment that the catalogue names has no file.
        case segmentMissing
        /// A segment's file has not the length or the digest that the catalogue keeps, or is no file.
        case segmentFile
        /// What is inside a segment does not hold, although its digest does.
        case segmentContents
        /// A file that the catalogue does not name.
        case extraFile
    }

    package var kind: Kind
    /// Whether it is no damage and needs no repair.
    package var isNote: Bool
    /// The file, relative to the log's directory.
    package var file: String?
    package var positions: Range<UInt64>?
    package var message: String

    package init(
        _ kind: Kind, _ message: String, file: String? = nil, positions: Range<UInt64>? = nil,
        isNote: Bool = false
    ) {
        self.kind = kind
        self.message = message
        self.file = file
        self.positions = positions
        self.isNote = isNote
    }

    package var description: String {
        var text = self.message
        if let file { text = "\(file): \(text)" }
        if let positions { text += " (positions \(positions.lowerBound)..<\(positions.upperBound))" }
        return text
    }
}

/// How far a long recovery job has come.
package struct RecoveryProgress: Sendable, Hashable {
    /// What is being done, as in "copying".
    package var activity: String
    /// The file at work, relative to the log's directory.
    package var file: String
    package var bytesDone: Int
    package var bytesTotal: Int

    package init(activity: String, file: String, bytesDone: Int, bytesTotal: Int) {
        self.activity = activity
        self.file = file
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
    }
}

/// Ranges of positions, ascending and apart.
package struct PositionRanges: Sendable, Hashable {
    package private(set) var ranges: [Range<UInt64>] = []

    package init() {}

    package init(_ ranges: some Sequence<Range<UInt64>>) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) { self.append(range) }
    }

    /// Adds a range that begins at or after all that are there.
    package mutating func append(_ range: Range<UInt64>) {
        if range.isEmpty { return }
        if let last = self.ranges.last, range.lowerBound <= last.upperBound {
            self.ranges[self.ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else {
            self.ranges.append(range)
        }
    }

    package var isEmpty: Bool { self.ranges.isEmpty }

    /// What of `whole` is in none of the ranges.
    package func gaps(in whole: Range<UInt64>) -> PositionRanges {
        var result = PositionRanges()
        var next = whole.lowerBound
        for range in self.ranges where range.overlaps(whole) {
            if range.lowerBound > next { result.append(next..<range.lowerBound) }
            next = max(next, range.upperBound)
        }
        if next < whole.upperBound { result.append(next..<whole.upperBound) }
        return result
    }

    package func contains(_ position: UInt64) -> Bool {
        self.ranges.contains { $0.contains(position) }
    }
}
