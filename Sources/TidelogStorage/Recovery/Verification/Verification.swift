/// How a log is verified.
package struct VerificationOptions: Sendable {
    /// Whether every block and every index of every segment is read, and revisions are followed through them.
    package var isDeep = false
    /// Where the head is walked.
    package var place: WalkPlace = .automatic
    /// Told from time to time how far the work has come; an error ends it.
    package var progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?

    package init() {}
}

/// What verification found.
package struct VerificationOutcome: Sendable {
    /// Damage, and notes of what is odd and harmless.
    package var findings: [RecoveryFinding] = []
    /// The head's state, if it can be read.
    package var state: HeadState?
    /// The catalogue as far as it can be read.
    package var segments: [SegmentInfo] = []
    /// The position after the last intact event of the head.
    package var end: UInt64 = 0
    /// Bytes of segments' files that were read.
    package var segmentBytes = 0
    /// Ranges of sealed positions that no segment covers: compacted away as a whole, or given up by a repair.
    package var uncovered = PositionRanges()
    /// One stream in so many was followed through the segments; 0 where none was.
    package var streamShare: UInt64 = 0

    /// Whether no damage was found.
    package var isClean: Bool { self.findings.allSatisfy(\.isNote) }
}

/// Verifies a log: its head, the files of its segments and, if asked, all that is in them.
///
/// It changes nothing, and others may read and append meanwhile.
package struct Verification {
    private static let maximumFindings = 10_000

    private let directory: String
    private let options: VerificationOptions
    /// Walks the head.
    private let walk: (HeadWalk.Mode, @escaping HeadWalk.Emit) throws(StorageError) -> Void
    /// Opens a segment whose digest holds.
    private let openSegment: (SegmentInfo) throws(StorageError) -> Segment
    private var outcome = VerificationOutcome()
    private var ledger = StreamLedger()
    private var verified: Set<SegmentInfo> = []
    /// The position up to which the ledger has followed the segments.
    private var followed: UInt64 = 0
    private var isDense = true

    /// Verifies a log that this process does not have open.
    ///
    /// - Throws: ``StorageError`` with code `notFound` if there is no log, `locked` if this process has it open,
    ///   `unsupportedFormat` for one of a newer version, or what the system refuses.
    package static func run(
        directory: String, options: VerificationOptions
    ) throws(StorageError) -> VerificationOutcome {
        try self.run(directory: directory, options: options, isExclusive: false)
    }

    /// - Parameter isExclusive: whether it is certain that nobody has the log open.
    static func run(
        directory: String, options: VerificationOptions, isExclusive: Bool
    ) throws(StorageError) -> VerificationOutcome {
        try self.requireLog(directory)
        let inspection = HeadInspection(
            directory: directory, place: options.place, isExclusive: isExclusive)
        var verification = Verification(
            directory: directory, options: options,
            walk: { mode, emit throws(StorageError) in try inspection.run(mode, emit) },
            openSegment: { info throws(StorageError) in
                try Segment.open(directory: directory + "/" + Head.Names.segments, info: info)
            })
        return try verification.run()
    }

    init(
        directory: String, options: VerificationOptions,
        walk: @escaping (HeadWalk.Mode, @escaping HeadWalk.Emit) throws(StorageError) -> Void,
        openSegment: @escaping (SegmentInfo) throws(StorageError) -> Segment
    ) {
        self.directory = directory
        self.options = options
        self.walk = walk
        self.openSegment = openSegment
    }

    static func requireLog(_ directory: String) throws(StorageError) {
        switch try Files.kind(directory) {
        case .directory: break
        case nil: throw StorageError(.notFound, "there is no log here; check the path", path: directory)
        default:
            throw StorageError(
                .invalidArgument, "a log is a directory, and something else stands here", path: directory)
        }
        let hasHead = try Files.exists(directory + "/" + Head.Names.head)
        let hasSegments = try Files.exists(directory + "/" + Head.Names.segments)
        if !hasHead && !hasSegments {
            throw StorageError(
                .notFound, "there is no log here: neither a head nor segments; check the path",
                path: directory)
        }
    }

    mutating func run() throws(StorageError) -> VerificationOutcome {
        try self.report("head", done: 0, total: 1)
        try self.walkHead()
        try self.verifySegments()
        try self.findExtraFiles()
        if self.options.isDeep { try self.compareStreams() }
        self.outcome.uncovered = PositionRanges(self.outcome.segments.map(\.positions)).gaps(
            in: (self.outcome.state?.firstPosition ?? 0)..<(self.outcome.state?.sealedEnd ?? 0))
        return self.outcome
    }

    private mutating func add(_ finding: RecoveryFinding) {
        if self.outcome.findings.count < Self.maximumFindings { self.outcome.findings.append(finding) }
    }

    private func report(_ file: String, done: Int, total: Int) throws(StorageError) {
        try self.options.progress?(
            RecoveryProgress(activity: "verifying", file: file, bytesDone: done, bytesTotal: total))
    }

    // MARK: The head

    private mutating func walkHead() throws(StorageError) {
        let collected = HeadCollection()
        try self.walk(.verify) { item in collected.take(item) }
        for finding in collected.findings { self.add(finding) }
        self.outcome.state = collected.state
        self.outcome.segments = collected.segments
        self.outcome.end = max(collected.end, collected.state?.sealedEnd ?? 0)
    }

    // MARK: Segments

    /// Goes through the segments of the catalogue, and again through those that came into it meanwhile.
    private mutating func verifySegments() throws(StorageError) {
        var catalogue = self.outcome.segments
        for _ in 0..<8 {
            let total = catalogue.reduce(0) { $0 + $1.fileBytes }
            var done = 0
            var hasVanished = false
            for info in catalogue {
                if self.verified.insert(info).inserted {
                    try self.report(Self.file(info), done: done, total: total)
                    if try !self.verify(info) {
                        hasVanished = true
                        self.verified.remove(info)
                    }
                }
                done += info.fileBytes
            }
            try self.report(Head.Names.segments, done: total, total: total)
            if !hasVanished { return }
            let collected = HeadCollection()
            try self.walk(.catalogue) { item in collected.take(item) }
            let current = collected.segments.filter { !self.verified.contains($0) }
            for info in current where catalogue.contains(info) {
                self.verified.insert(info)
                self.add(
                    RecoveryFinding(
                        .segmentMissing, "the segment's file is missing, with \(info.count) events",
                        file: Self.file(info), positions: info.positions))
            }
            catalogue = current
            self.outcome.segments = collected.segments
        }
    }

    private static func file(_ info: SegmentInfo) -> String { Head.Names.segments + "/" + info.fileName }

    /// Verifies a segment; answers false if its file is not there.
    private mutating func verify(_ info: SegmentInfo) throws(StorageError) -> Bool {
        let path = self.directory + "/" + Self.file(info)
        switch try Files.kind(path) {
        case .file: break
        case nil: return false
        case let kind:
            let what = kind == .symbolicLink ? "a symbolic link" : "something other than a file"
            self.add(
                RecoveryFinding(
                    .segmentFile, "\(what) stands in the segment's place", file: Self.file(info),
                    positions: info.positions))
            return true
        }
        do throws(StorageError) {
            let descriptor = try Files.openReadOnlyNoFollow(path)
            let size = try Files.status(descriptor: descriptor.number, path: path).size
            self.outcome.segmentBytes += size
            var problem: String?
            if size != info.fileBytes {
                problem = "the segment's file has \(size) bytes, and the catalogue says \(info.fileBytes)"
            } else if try Files.digest(descriptor: descriptor.number, length: size, path: path) != info.digest
            {
                problem = "the segment's file does not have the digest that the catalogue keeps"
            }
            if let problem {
                try self.examine(info, problem, descriptor.number, path)
            } else if self.options.isDeep {
                try self.verifyContents(info)
            }
            descriptor.close()
        } catch {
            switch error.code {
            case .notFound: return false
            case .permission, .inputOutput:
                self.add(
                    RecoveryFinding(
                        .segmentFile, error.message, file: Self.file(info), positions: info.positions))
            default: throw error
            }
        }
        return true
    }

    /// Finds out which events of a damaged segment are lost.
    private mutating func examine(
        _ info: SegmentInfo, _ problem: String, _ descriptor: Int32, _ path: String
    ) throws(StorageError) {
        self.isDense = false
        let remains = try SegmentRemains(descriptor: descriptor, path: path, info: info)
        if remains.lost.isEmpty {
            self.add(
                RecoveryFinding(
                    .segmentFile, "\(problem); all its events are intact", file: Self.file(info),
                    positions: info.positions))
        }
        for range in remains.lost.ranges {
            self.add(
                RecoveryFinding(
                    .segmentFile, "\(problem); these events cannot be read", file: Self.file(info),
                    positions: range))
        }
    }

    private mutating func verifyContents(_ info: SegmentInfo) throws(StorageError) {
        let segment: Segment
        do throws(StorageError) {
            segment = try self.openSegment(info)
        } catch {
            guard error.code == .corrupted || error.code == .unsupportedFormat else { throw error }
            self.add(
                RecoveryFinding(
                    .segmentContents, error.message, file: Self.file(info), positions: info.positions))
            return
        }
        if let id = self.outcome.state?.logID, id != segment.meta.logID {
            self.add(
                RecoveryFinding(
                    .segmentContents, "the segment belongs to another log", file: Self.file(info),
                    positions: info.positions))
        }
        let problems = segment.verify(deep: true)
        for problem in problems {
            self.add(
                RecoveryFinding(
                    .segmentContents, problem.message, file: Self.file(info), positions: problem.positions))
        }
        if problems.isEmpty, info.positions.lowerBound >= self.followed { try self.follow(segment) }
    }

    // MARK: Streams

    /// Follows the revisions of streams through a segment.
    private mutating func follow(_ segment: Segment) throws(StorageError) {
        let info = segment.info
        if info.generation > 0 || info.positions.lowerBound > self.followed { self.isDense = false }
        self.followed = info.positions.upperBound
        let decoder = FrameDecoder()
        var problems: [(position: UInt64, stream: String)] = []
        try segment.forEachBlock(from: info.positions.lowerBound) { frame, first throws(StorageError) in
            try decoder.load(
                frame, expectedFirstPosition: first, withBodies: false, parts: [.streams, .revisions],
                dictionary: segment.dictionaryProvider)
            let hashes = (0..<decoder.distinctCount(.stream)).map { code in
                decoder.distinctText(.stream, code).map { StreamLedger.hash($0) }
            }
            for index in 0..<decoder.count {
                let code = decoder.code(.stream, index)
                guard let hash = hashes[code], let revision = decoder.revision(index), revision < .max,
                    self.ledger.follows(hash)
                else { continue }
                let expected = self.ledger.entry(hash)?.next ?? 0
                let isRight = self.isDense ? revision == expected : revision >= expected
                if !isRight, problems.count < 100 {
                    problems.append((decoder.position(index), decoder.distinctText(.stream, code) ?? ""))
                }
                self.ledger.set(hash, next: revision + 1, lastPosition: decoder.position(index))
            }
            return true
        }
        for (position, stream) in problems {
            self.add(
                RecoveryFinding(
                    .stream, "the revisions of stream '\(stream)' do not follow each other",
                    file: Self.file(info), positions: position..<position + 1))
        }
    }

    /// Compares what the segments hold of streams with the streams' heads.
    private mutating func compareStreams() throws(StorageError) {
        let comparison = StreamComparison(self.ledger)
        try self.walk(.streams) { item in comparison.take(item) }
        self.outcome.streamShare = self.ledger.share
        for finding in comparison.finish(end: self.outcome.end) { self.add(finding) }
    }

    // MARK: Files

    private mutating func findExtraFiles() throws(StorageError) {
        let directory = self.directory + "/" + Head.Names.segments
        guard try Files.kind(directory) == .directory else {
            if !self.outcome.segments.isEmpty || self.outcome.state != nil {
                self.add(
                    RecoveryFinding(
                        .segmentMissing, "the directory of segments is missing", file: Head.Names.segments,
                        isNote: self.outcome.segments.isEmpty))
            }
            return
        }
        let known = Set(self.outcome.segments.map(\.fileName) + self.verified.map(\.fileName))
        for name in try Files.list(directory) where !known.contains(name) {
            let message =
                name.contains(".tmp")
                ? "a file that was being written when its writer stopped, or that is being written"
                : name.hasSuffix(".mdb") && !name.hasSuffix("-lock")
                    ? "the catalogue does not name this file: it is removed when the log is opened"
                    : "this file does not belong here"
            self.add(
                RecoveryFinding(.extraFile, message, file: Head.Names.segments + "/" + name, isNote: true))
        }
    }
}

extension LogEngine {
    /// Verifies the log while it is open here; see ``Verification/run(directory:options:)``.
    ///
    /// A read transaction of the head is held while the head is walked, some seconds at the most.
    package func verify(_ options: VerificationOptions) throws(StorageError) -> VerificationOutcome {
        var verification = Verification(
            directory: self.directory, options: options,
            walk: { [self] mode, emit throws(StorageError) in
                try HeadSession.run(self.head.environment, mode: mode, emit: emit)
            },
            openSegment: { [self] info throws(StorageError) in try self.segments.segment(info) })
        return try verification.run()
    }
}
