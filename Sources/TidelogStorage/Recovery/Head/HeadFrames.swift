/// Follows the head's frames in the order of their positions: what is intact, what is missing between, and
/// whether the revisions of each stream follow each other.
///
/// It keeps the streams of the active segment, as the engine does.
struct HeadFrames {
    private struct Span {
        var first: UInt64
        var next: UInt64
    }

    let checker: FrameChecker
    private let rank: Int
    private let isSalvage: Bool
    private var hasBegun = false
    /// The position that the next frame must begin at.
    private var next: UInt64?
    /// A damaged frame that waits for the next one to tell where it ended.
    private var damaged: (first: UInt64, end: UInt64?, message: String)?
    private var hasGap = false
    private var streams: [ExactText: Span] = [:]

    init(checker: FrameChecker, rank: Int, isSalvage: Bool) {
        self.checker = checker
        self.rank = rank
        self.isSalvage = isSalvage
    }

    /// Says where the first frame must begin, if that is known; only the first call counts.
    mutating func begin(sealedEnd: UInt64?) {
        if self.hasBegun { return }
        self.hasBegun = true
        self.next = sealedEnd
    }

    /// Checks a frame; answers whether it is intact, and what there is to tell.
    mutating func visit(_ first: UInt64, _ entry: PageEntry) -> (Bool, [HeadItem]) {
        do throws(StorageError) {
            let header = try self.checker.check(entry.value, expectedFirstPosition: first)
            var items = self.endDamage(before: first)
            items += self.place(header.firstPosition..<header.lastPosition + 1)
            items += self.follow(header)
            if self.isSalvage {
                items.append(
                    .frame(
                        HeadFrame(
                            rank: self.rank, first: first, last: header.lastPosition,
                            fileOffset: entry.fileOffset, byteCount: entry.value.count,
                            hash: XXH64.hash(entry.value))))
            }
            return (true, items)
        } catch {
            var items = self.endDamage(before: first)
            if let next, first > next { items += self.place(first..<first) }
            let remains = self.checker.remains(entry.value, expectedFirstPosition: first)
            let end = remains.header.map { $0.lastPosition + 1 }
            self.damaged = (first, end, error.message)
            self.hasGap = true
            items.append(.damagedFrame(first: first, end: end))
            for stream in remains.streams {
                items.append(
                    .damagedStream(name: Array(stream.name.utf8), nextRevision: stream.nextRevision))
            }
            return (false, items)
        }
    }

    /// What there is to tell after the last frame.
    mutating func finish() -> [HeadItem] {
        guard let damaged else { return [.frames(end: self.next ?? 0)] }
        self.damaged = nil
        let end = damaged.end ?? damaged.first + 1
        return [self.finding(damaged.first..<end, damaged.message), .frames(end: end)]
    }

    private mutating func endDamage(before first: UInt64) -> [HeadItem] {
        guard let damaged, damaged.first < first else { return [] }
        self.damaged = nil
        self.next = first
        return [self.finding(damaged.first..<first, damaged.message)]
    }

    private func finding(_ positions: Range<UInt64>, _ message: String) -> HeadItem {
        .finding(RecoveryFinding(.headFrame, message, file: Head.Names.head, positions: positions))
    }

    private mutating func place(_ positions: Range<UInt64>) -> [HeadItem] {
        defer { self.next = max(self.next ?? 0, positions.upperBound) }
        guard let next, next != positions.lowerBound else { return [] }
        self.hasGap = true
        if positions.lowerBound < next {
            return [self.finding(positions, "a frame claims positions that the one before it holds")]
        }
        return [
            .finding(
                RecoveryFinding(
                    .missingEvents, "the head has no frame for these positions", file: Head.Names.head,
                    positions: next..<positions.lowerBound))
        ]
    }

    // MARK: Streams

    private mutating func follow(_ header: FrameHeader) -> [HeadItem] {
        var items: [HeadItem] = []
        for (name, first, next, isGapless) in self.checker.nextRevisions() {
            let key = ExactText(name)
            let known = self.streams[key]
            let follows = known.map { self.hasGap ? first >= $0.next : first == $0.next } ?? true
            if !isGapless || !follows {
                items.append(
                    .finding(
                        RecoveryFinding(
                            .stream, "the revisions of stream '\(name)' do not follow each other",
                            file: Head.Names.head,
                            positions: header.firstPosition..<header.lastPosition + 1)))
            }
            self.streams[key] = Span(first: known?.first ?? first, next: next)
        }
        return items
    }

    /// Compares a stream's head, as of its last sealed event or later, with the stream's frames.
    mutating func check(stream: String, _ head: StreamHead) -> [HeadItem] {
        var problem: String?
        if head.firstPosition > head.lastPosition {
            problem = "its last event stands before its first"
        } else if let span = self.streams.removeValue(forKey: ExactText(stream)) {
            if head.nextRevision < span.first && !self.hasGap || head.nextRevision > span.next && !self.hasGap
            {
                problem =
                    "its head ends at revision \(head.nextRevision) and its events in the head are "
                    + "\(span.first) to \(span.next - 1)"
            }
        }
        guard let problem else { return [] }
        return [
            .finding(
                RecoveryFinding(
                    .stream, "stream '\(stream)' does not hold together: \(problem)", file: Head.Names.head))
        ]
    }

    /// Streams that begin in the middle although no head says how they began.
    func streamsWithoutHead() -> [HeadItem] {
        self.streams.filter { $0.value.first > 0 }.sorted { $0.key.text < $1.key.text }.map {
            name, span in
            .finding(
                RecoveryFinding(
                    .stream,
                    "stream '\(name.text)' begins at revision \(span.first), and its head is missing",
                    file: Head.Names.head))
        }
    }
}
