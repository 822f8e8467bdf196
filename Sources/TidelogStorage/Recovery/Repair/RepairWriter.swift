import Glibc

/// Fills the segments of a repaired log.
final class RepairWriter {
    /// Uncompressed bytes of a segment made of the head's frames.
    private static let segmentBytes = 64 << 20

    private let directory: String
    private let work: String
    let logID: (UInt64, UInt64)
    private let progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?

    private(set) var infos: [SegmentInfo] = []
    private(set) var lost: [LostRange] = []
    private(set) var lostStreams: Set<ExactText> = []
    /// Streams with events in the head or in damaged places, as far as those tell.
    private(set) var streams: [ExactText: StreamHead] = [:]
    private(set) var kept = 0
    private(set) var rewritten: [String] = []
    private(set) var dropped: [String] = []

    init(
        directory: String, work: String, logID: (UInt64, UInt64),
        progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?
    ) {
        self.directory = directory
        self.work = work
        self.logID = logID
        self.progress = progress
    }

    private var target: String { self.work + "/" + Head.Names.segments }

    func checked(_ file: String, _ bytes: Int) throws(StorageError) {
        try self.progress?(
            RecoveryProgress(activity: "repairing", file: file, bytesDone: 0, bytesTotal: bytes))
    }

    func lose(_ positions: Range<UInt64>, file: String, isCertain: Bool) {
        self.lost.append(LostRange(positions: positions, file: file, isCertain: isCertain))
    }

    private func know(_ name: String, next: UInt64, positions: ClosedRange<UInt64>) {
        var head =
            self.streams[ExactText(name)]
            ?? StreamHead(
                nextRevision: 0, firstPosition: positions.lowerBound, lastPosition: positions.upperBound)
        head.nextRevision = max(head.nextRevision, next)
        head.firstPosition = min(head.firstPosition, positions.lowerBound)
        head.lastPosition = max(head.lastPosition, positions.upperBound)
        self.streams[ExactText(name)] = head
    }

    /// Notes where each stream of the frame begins and ends, and how far it has come.
    private func knowStreams(of frame: FrameDecoder) throws(StorageError) {
        try frame.require([.streams, .revisions])
        for index in 0..<frame.count {
            guard let revision = frame.revision(index),
                let name = frame.distinctText(.stream, frame.code(.stream, index))
            else { continue }
            self.know(name, next: revision + 1, positions: frame.position(index)...frame.position(index))
        }
    }

    // MARK: Segments

    /// Takes over a segment, or what is intact in it.
    func take(_ candidate: SegmentChoice.Candidate) throws(StorageError) {
        let file = Head.Names.segments + "/" + candidate.fileName
        let path = self.directory + "/" + file
        switch candidate.quality {
        case .intact:
            guard let info = candidate.info else { return }
            try self.link(path, info)
            self.infos.append(info)
            self.kept += 1
        case .missing:
            self.dropped.append(file)
            self.lose(candidate.positions, file: file, isCertain: true)
        case .damaged:
            let descriptor = try Files.openReadOnlyNoFollow(path)
            try self.rewrite(candidate, descriptor.number, path, file)
            descriptor.close()
        }
    }

    /// Gives a sealed file a second name; nobody ever changes it.
    private func link(_ path: String, _ info: SegmentInfo) throws(StorageError) {
        let target = self.target + "/" + info.fileName
        if Glibc.link(path, target) == 0 { return }
        let copy = FileCopy { [self] file, bytes throws(StorageError) in try self.checked(file, bytes) }
        try copy.copy(
            path, BackupManifest.File(name: info.fileName, bytes: info.fileBytes, digest: info.digest),
            name: Head.Names.segments + "/" + info.fileName, to: target, mode: 0o400)
    }

    private func rewrite(
        _ candidate: SegmentChoice.Candidate, _ descriptor: Int32, _ path: String, _ file: String
    ) throws(StorageError) {
        let remains = try SegmentRemains(descriptor: descriptor, path: path, info: candidate.info)
        // Where only the gaps between blocks are known, they may be those of a compaction.
        let isCertain = remains.lostCount != nil || candidate.generation == 0
        for range in remains.lost.ranges { self.lose(range, file: file, isCertain: isCertain) }
        for (name, next) in remains.lostStreams {
            self.lostStreams.insert(name)
            self.know(
                name.text, next: next,
                positions: candidate.positions.lowerBound...candidate.positions.lowerBound)
        }
        guard let first = remains.blocks.first, let last = remains.blocks.last else {
            self.dropped.append(file)
            return
        }
        let pages = try PageFile(descriptor: descriptor, path: path)
        let (generation, overflow) = candidate.generation.addingReportingOverflow(1)
        let writer = try self.writer(
            first: min(candidate.positions.lowerBound, first.positions.lowerBound),
            generation: overflow ? candidate.generation : generation, dictionary: remains.dictionary)
        do throws(StorageError) {
            for block in remains.blocks {
                try writer.append(contentsOf: try remains.load(block, pages))
            }
            self.infos.append(
                try writer.finish(
                    endPosition: max(candidate.positions.upperBound, last.positions.upperBound)))
        } catch {
            writer.abandon()
            throw error
        }
        self.rewritten.append(file)
    }

    private func writer(
        first: UInt64, generation: UInt32, dictionary: [UInt8]?
    ) throws(StorageError) -> SegmentWriter {
        let options = EngineOptions()
        return try SegmentWriter(
            directory: self.target, firstPosition: first, generation: generation,
            dictionaryBytes: dictionary, logID: self.logID, level: options.sealedLevel,
            blockBytes: options.blockBytes)
    }

    // MARK: The head's frames

    /// Takes over the head's intact frames; answers the position that the log goes on at.
    func takeFrames(_ salvage: HeadSalvage, from sealedEnd: UInt64) throws(StorageError) -> UInt64 {
        let path = self.directory + "/" + Head.Names.head
        guard try Files.kind(path) == .file else {
            // Nothing at all is known of what the head held.
            let end = sealedEnd + 1 << 40
            self.lose(sealedEnd..<end, file: Head.Names.head, isCertain: false)
            return end
        }
        let descriptor = try Files.openReadOnlyNoFollow(path)
        let pages = try PageFile(descriptor: descriptor.number, path: path)
        let events = salvage.events(
            from: sealedEnd, filePages: pages.pageCount, pageSizeBytes: pages.pageSizeBytes)
        let segments = self.directory + "/" + Head.Names.segments
        let checker = FrameChecker { SegmentRemains.dictionary($0, in: segments) }
        for (id, dictionary) in salvage.dictionaries { checker.add(dictionary: id, dictionary) }
        try self.write(events.frames, pages, checker)
        descriptor.close()

        let kept = PositionRanges(events.frames.map(\.positions))
        for gap in kept.gaps(in: sealedEnd..<events.knownEnd).ranges {
            self.lose(gap, file: Head.Names.head, isCertain: true)
        }
        if events.possibleEnd > events.knownEnd {
            self.lose(events.knownEnd..<events.possibleEnd, file: Head.Names.head, isCertain: false)
        }
        for (bytes, next) in salvage.damagedStreams {
            let name = String(decoding: bytes, as: UTF8.self)
            self.lostStreams.insert(ExactText(name))
            self.know(name, next: next, positions: sealedEnd...sealedEnd)
        }
        return events.possibleEnd
    }

    private func write(
        _ frames: [HeadFrame], _ pages: PageFile, _ checker: FrameChecker
    ) throws(StorageError) {
        var writer: SegmentWriter?
        var next: UInt64 = 0
        var bytes = 0
        var buffer: [UInt8] = []
        defer { writer?.abandon() }
        for frame in frames {
            if let open = writer, frame.first != next || bytes >= Self.segmentBytes {
                self.infos.append(try open.finish(endPosition: next))
                writer = nil
            }
            if writer == nil {
                bytes = 0
                try self.checked(Head.Names.head, pages.sizeBytes)
            }
            guard try pages.read(at: frame.fileOffset, count: frame.byteCount, into: &buffer) else {
                throw StorageError(
                    .inputOutput, "the head became shorter while it was read", path: pages.path)
            }
            let header = try buffer.span.bytes.withUnsafeBytes { raw throws(StorageError) in
                try checker.check(
                    UnsafeRawBufferPointer(rebasing: raw[..<frame.byteCount]),
                    expectedFirstPosition: frame.first)
            }
            let open: SegmentWriter
            if let known = writer {
                open = known
            } else {
                open = try self.writer(first: frame.first, generation: 0, dictionary: nil)
                writer = open
            }
            try open.append(contentsOf: checker.decoder)
            try self.knowStreams(of: checker.decoder)
            bytes += header.envelopePlainBytes + header.bodyPlainBytes
            next = header.lastPosition + 1
        }
        if let open = writer {
            self.infos.append(try open.finish(endPosition: next))
            writer = nil
        }
    }

    /// Gives what the new segments hold of each stream to `body`.
    func forEachStreamHead(
        _ body: (String, StreamHead) throws(StorageError) -> Void
    ) throws(StorageError) {
        for info in self.infos {
            let segment = try Segment.open(directory: self.target, info: info)
            try segment.streamHeads { head throws(StorageError) in
                try body(
                    head.stream,
                    StreamHead(
                        nextRevision: head.lastRevision + 1, firstPosition: head.firstPosition,
                        lastPosition: head.lastPosition))
            }
        }
    }
}
