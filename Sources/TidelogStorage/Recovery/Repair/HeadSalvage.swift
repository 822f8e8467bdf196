/// What could be saved of a head, in order of trust: from the newest commit (rank 0), from the one before
/// (rank 1), and from pages that no tree leads to (rank 2).
final class HeadSalvage {
    /// How much of a database was found.
    struct DatabaseStatus {
        var stated: UInt64 = 0
        var intact: UInt64 = 0
        var isWhole = false
        var reachesEnd = false
    }

    private var rank = 0
    private(set) var states: [Int: [HeadState]] = [:]
    private(set) var segments: [(rank: Int, info: SegmentInfo)] = []
    private(set) var frames: [HeadFrame] = []
    private(set) var damagedFrames: [(first: UInt64, end: UInt64?)] = []
    private(set) var damagedStreams: [(name: [UInt8], nextRevision: UInt64)] = []
    private(set) var dictionaries: [UInt32: [UInt8]] = [:]
    /// What the newest commit's databases turned out to be.
    private(set) var databases: [String: DatabaseStatus] = [:]
    private(set) var findings: [RecoveryFinding] = []
    /// Takes values of `streams` and `records`, with their rank.
    private let values: (String, [UInt8], [UInt8], Int) throws(StorageError) -> Void

    init(values: @escaping (String, [UInt8], [UInt8], Int) throws(StorageError) -> Void) {
        self.values = values
    }

    func take(_ item: HeadItem) throws(StorageError) {
        switch item {
        case .source(let rank, _): self.rank = rank
        case .state(let bytes):
            if let state = try? HeadState.decode(bytes) { self.states[self.rank, default: []].append(state) }
        case .segment(let bytes):
            if let info = try? SegmentInfo.decode(bytes) { self.segments.append((self.rank, info)) }
        case .frame(let frame): self.frames.append(frame)
        case .damagedFrame(let first, let end): self.damagedFrames.append((first, end))
        case .damagedStream(let name, let next): self.damagedStreams.append((name, next))
        case .value("dictionaries", let key, let value):
            let id = UInt32(truncatingIfNeeded: key.reversed().reduce(0) { $0 << 8 | UInt64($1) })
            if self.dictionaries[id] == nil { self.dictionaries[id] = value }
        case .value(let database, let key, let value):
            // An older value is of use only where a newer one may be missing.
            if self.rank == 0 || !self.isWhole(database) {
                try self.values(database, key, value, self.rank)
            }
        case .database(let name, let stated, let intact, let isWhole, let reachesEnd):
            if self.rank == 0 {
                self.databases[name] = DatabaseStatus(
                    stated: stated, intact: intact, isWhole: isWhole, reachesEnd: reachesEnd)
            }
        case .finding(let finding): self.findings.append(finding)
        case .frames, .progress, .failure, .end: break
        }
    }

    /// Whether a database of the newest commit is intact.
    func isWhole(_ database: String) -> Bool { self.databases[database]?.isWhole ?? false }

    // MARK: What is to be believed

    /// The state of the newest commit, or else of the one before.
    var state: HeadState? { self.states[0]?.first ?? self.states[1]?.first }

    /// What can be told from states of unknown age: numbers in it only grow.
    var looseState: HeadState? {
        guard var state = self.states[2]?.first else { return nil }
        for other in self.states[2] ?? [] where other.logID == state.logID {
            state.incarnation = max(state.incarnation, other.incarnation)
            state.firstPosition = max(state.firstPosition, other.firstPosition)
            state.catalogueVersion = max(state.catalogueVersion, other.catalogueVersion)
            state.hiddenVersion = max(state.hiddenVersion, other.hiddenVersion)
        }
        return self.states[2]?.allSatisfy { $0.logID == state.logID } ?? false ? state : nil
    }

    /// The head's events that can be believed, and where they end.
    func events(from sealedEnd: UInt64, filePages: UInt64, pageSizeBytes: Int) -> SalvagedEvents {
        let status = self.databases["frames"] ?? DatabaseStatus()
        var chosen = SalvagedEvents.withoutConflicts(
            self.frames.filter { $0.rank == 0 && $0.first >= sealedEnd })
        // A damaged frame says where it begins, and no other is believed to hold that place.
        let damaged = self.damagedFrames.filter { $0.first >= sealedEnd }
        var end = max(sealedEnd, chosen.last?.positions.upperBound ?? 0)
        for frame in damaged { end = max(end, frame.end ?? frame.first + 1) }

        var isEndKnown = status.reachesEnd
        if isEndKnown, let last = damaged.max(by: { $0.first < $1.first }),
            last.end == nil, last.first >= chosen.last?.first ?? 0
        {
            isEndKnown = false
        }
        if !status.isWhole {
            for rank in 1...2 {
                let candidates = self.frames.filter { frame in
                    // In a page that no tree leads to there may be a frame that was never committed: it must
                    // not take the place of one that was and is damaged.
                    frame.rank == rank && frame.first >= sealedEnd && (!isEndKnown || frame.last < end)
                        && (rank == 1
                            || !damaged.contains {
                                $0.first <= frame.last && frame.first < $0.end ?? ($0.first + 1)
                            })
                }
                chosen = SalvagedEvents.merge(chosen, SalvagedEvents.withoutConflicts(candidates))
            }
        }
        end = max(end, chosen.last?.positions.upperBound ?? 0)
        var possibleEnd = end
        if !isEndKnown {
            // Frames that are not accounted for may have held this many events.
            var missing = status.stated > status.intact ? status.stated - status.intact : 0
            if status.stated == 0 { missing = filePages * UInt64(pageSizeBytes / 112) }
            missing = min(max(missing, 1), 1 << 20)
            possibleEnd = end + missing * UInt64(FrameFormat.maximumEvents)
        }
        return SalvagedEvents(frames: chosen, knownEnd: end, possibleEnd: possibleEnd)
    }
}

/// The events of a head that can be believed.
struct SalvagedEvents {
    /// Intact frames, ascending and apart.
    var frames: [HeadFrame]
    /// The position after the last event that is known to have been there, intact or not.
    var knownEnd: UInt64
    /// A position that no event of the log can have reached.
    var possibleEnd: UInt64

    /// The frames without those that claim the same positions as another one with other contents: which of
    /// them was committed cannot be told.
    static func withoutConflicts(_ frames: [HeadFrame]) -> [HeadFrame] {
        let ordered = frames.sorted {
            ($0.first, $0.last, $0.fileOffset) < ($1.first, $1.last, $1.fileOffset)
        }
        var result: [HeadFrame] = []
        var doubtful: Set<Int> = []
        var last: Int?
        var isKept = [Bool](repeating: true, count: ordered.count)
        for index in ordered.indices {
            guard let known = last, ordered[known].last >= ordered[index].first else {
                last = index
                continue
            }
            if ordered[known].positions == ordered[index].positions,
                ordered[known].hash == ordered[index].hash
            {
                isKept[index] = false  // the same frame twice
            } else {
                doubtful.formUnion([known, index])
                if ordered[index].last > ordered[known].last { last = index }
            }
        }
        for index in ordered.indices where isKept[index] && !doubtful.contains(index) {
            result.append(ordered[index])
        }
        return result
    }

    /// Adds frames that overlap none of those that are trusted more.
    static func merge(_ trusted: [HeadFrame], _ others: [HeadFrame]) -> [HeadFrame] {
        let ranges = PositionRanges(trusted.map(\.positions))
        let added = others.filter { frame in !ranges.overlaps(frame.positions) }
        return (trusted + added).sorted { $0.first < $1.first }
    }
}

extension PositionRanges {
    /// Whether any of the ranges overlaps `other`.
    func overlaps(_ other: Range<UInt64>) -> Bool {
        var low = 0
        var high = self.ranges.count
        while low < high {
            let middle = (low + high) / 2
            if self.ranges[middle].upperBound <= other.lowerBound { low = middle + 1 } else { high = middle }
        }
        return low < self.ranges.count && self.ranges[low].overlaps(other)
    }
}
