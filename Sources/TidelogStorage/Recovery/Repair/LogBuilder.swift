import Glibc

/// Makes a log of events whose places are given, as when a log is brought back from elsewhere.
///
/// Everything goes into sealed segments; the head is put in place last, in one step: until then there is no
/// log in the directory.
package final class LogBuilder {
    /// Uncompressed bytes of a segment.
    private static let segmentBytes = 64 << 20

    private let directory: String
    private var state: HeadState
    private let head: NewHead
    private var writer: SegmentWriter?
    private var infos: [SegmentInfo] = []
    private var streams: [ExactText: StreamHead] = [:]
    private var bytes = 0
    private var nextPosition: UInt64
    private var isDone = false

    /// Begins a log in a directory that is missing or empty.
    ///
    /// - Parameters:
    ///   - logID: the two halves of the log's UUID.
    ///   - firstPosition: the position below which the log keeps nothing.
    /// - Throws: ``StorageError`` with code `alreadyExists`.
    package init(
        directory: String, logID: (UInt64, UInt64), incarnation: UInt64, firstPosition: UInt64
    ) throws(StorageError) {
        self.directory = directory
        _ = try Files.createDirectory(directory)
        if let name = try Files.list(directory).first {
            throw StorageError(
                .alreadyExists, "a log is made in a missing or empty directory, and this one has '\(name)'",
                path: directory)
        }
        try Files.createDirectory(directory + "/" + Head.Names.segments)
        self.head = try NewHead(directory)
        self.state = .new(createdAt: currentNanoseconds())
        self.state.logID = logID
        self.state.incarnation = incarnation
        self.state.firstPosition = firstPosition
        self.nextPosition = firstPosition
    }

    deinit { if !self.isDone { self.abandon() } }

    /// Adds an event after those before it; positions may be left out, as compaction does.
    ///
    /// - Throws: ``StorageError`` with code `invalidArgument` for a position or a revision that does not ascend.
    package func append(_ placed: PlacedRecord) throws(StorageError) {
        if let open = self.writer, self.bytes >= Self.segmentBytes {
            // Segments cover every position between them.
            self.infos.append(try open.finish(endPosition: placed.position))
            self.writer = nil
        }
        let open: SegmentWriter
        if let known = self.writer {
            open = known
        } else {
            let options = EngineOptions()
            open = try SegmentWriter(
                directory: self.directory + "/" + Head.Names.segments, firstPosition: self.nextPosition,
                // As if written anew: one that was only sealed has no gaps, and these may.
                generation: 1, dictionaryBytes: nil, logID: self.state.logID, level: options.sealedLevel,
                blockBytes: options.blockBytes)
            self.writer = open
            self.bytes = 0
        }
        try self.note(placed)
        try open.append(placed)
        self.bytes += placed.record.payload.count + placed.record.metadata.count + 100
        self.nextPosition = placed.position + 1
    }

    private func note(_ placed: PlacedRecord) throws(StorageError) {
        guard let stream = placed.record.stream, let revision = placed.revision else {
            guard placed.record.stream == nil, placed.revision == nil else {
                throw StorageError(
                    .invalidArgument,
                    "the event at position \(placed.position) has a stream or a revision alone")
            }
            return
        }
        let key = ExactText(stream)
        if var head = self.streams[key] {
            guard revision >= head.nextRevision else {
                throw StorageError(
                    .invalidArgument,
                    "the event at position \(placed.position) has revision \(revision) of its stream, whose next "
                        + "is \(head.nextRevision)")
            }
            head.nextRevision = revision + 1
            head.lastPosition = placed.position
            self.streams[key] = head
        } else {
            self.streams[key] = StreamHead(
                nextRevision: revision + 1, firstPosition: placed.position, lastPosition: placed.position)
        }
    }

    /// Puts the log in place. Its next event gets `end`, which lies after every event that was added.
    package func finish(end: UInt64) throws(StorageError) {
        if let open = self.writer {
            self.infos.append(try open.finish(endPosition: end))
            self.writer = nil
        }
        for stream in self.streams { try self.head.add(stream: stream.key.text, stream.value) }
        if self.infos.isEmpty { self.state.firstPosition = end }
        self.state.sealedEnd = end
        self.state.catalogueVersion += 1
        try Files.syncDirectory(self.directory + "/" + Head.Names.segments)
        try self.head.finish(self.state, self.infos, lost: PositionRanges([]))
        try Files.syncDirectory(Files.directory(of: self.directory))
        self.isDone = true
    }

    /// Gives up and removes what was made.
    package func abandon() {
        self.isDone = true
        self.writer?.abandon()
        self.writer = nil
        self.head.close()
        LogDirectory.remove(self.directory)
    }
}

/// The directory of a log that is being made.
enum LogDirectory {
    /// Removes it and what a log has in it.
    static func remove(_ work: String) {
        let segments = work + "/" + Head.Names.segments
        for name in (try? Files.list(segments)) ?? [] { _ = unlink(segments + "/" + name) }
        _ = rmdir(segments)
        for name in (try? Files.list(work)) ?? [] { _ = unlink(work + "/" + name) }
        _ = rmdir(work)
    }
}
