/// Goes through everything in the head's file and tells what it finds, item by item.
///
/// It reads with plain reads (see PageFile.swift), so it is safe on any file; running it in a child process
/// on top of that is for mistakes of its own. On the file of a log that is open somewhere, a read
/// transaction must be held meanwhile and its number given, so that no page is reused under it.
struct HeadWalk {
    /// What is wanted.
    enum Mode: String, Sendable {
        /// Findings.
        case verify
        /// Findings, and everything that can be kept.
        case salvage
        /// The state and the catalogue alone, without findings.
        case catalogue
        /// The streams' heads alone, without findings.
        case streams
        /// Whatever can be found without following any tree.
        case scan

        /// Whether findings are wanted.
        var reports: Bool { self == .verify || self == .salvage }

        /// The databases that are gone through, in this order: each needs what the ones before say.
        var databases: [String] {
            switch self {
            case .verify, .salvage: HeadTrees.databaseNames
            case .catalogue: ["meta", "segments"]
            case .streams: ["streams"]
            case .scan: []
            }
        }
    }

    typealias Emit = (HeadItem) throws(StorageError) -> Void

    private let file: PageFile
    private let mode: Mode
    private let emit: Emit
    private let checker: FrameChecker

    init(descriptor: Int32, path: String, mode: Mode, emit: @escaping Emit) throws(StorageError) {
        self.file = try PageFile(descriptor: descriptor, path: path)
        self.mode = mode
        self.emit = emit
        let segments = Files.directory(of: path) + "/" + Head.Names.segments
        self.checker = FrameChecker { SegmentRemains.dictionary($0, in: segments) }
    }

    /// Walks the commit `snapshot`, or the newest one.
    ///
    /// - Returns: false if the commit's meta page has been overwritten since: begin again.
    /// - Throws: ``StorageError`` with code `unsupportedFormat` for a head of a newer version, and what
    ///   `emit` throws.
    func run(snapshot: UInt64?) throws(StorageError) -> Bool {
        if self.mode == .scan {
            try self.scan(sealedEnd: 0)
            try self.emit(.end)
            return true
        }
        var metas = try self.rankedMetas()
        if let snapshot, self.file.metaProblems.isEmpty {
            guard let meta = metas.first(where: { $0.transactionID == snapshot }) else { return false }
            metas = [meta]
        }
        if self.mode.reports {
            for problem in self.file.metaProblems { try self.report(.headPages, problem) }
        }
        guard let newest = metas.first else {
            try self.report(
                .headFile, "neither of the two pages that lead to everything else can be read")
            if self.mode == .salvage { try self.scan(sealedEnd: 0) }
            try self.emit(.end)
            return true
        }
        let trees = try self.walk(newest, rank: 0)
        if self.mode == .salvage, !trees.isWhole || !self.file.metaProblems.isEmpty {
            var sealedEnd = trees.sealedEnd
            for (index, meta) in metas.enumerated() where index > 0 {
                let older = try self.walk(meta, rank: 1)
                sealedEnd = max(sealedEnd ?? 0, older.sealedEnd ?? 0)
            }
            try self.scan(sealedEnd: sealedEnd ?? 0)
        }
        try self.emit(.end)
        return true
    }

    private func report(_ kind: RecoveryFinding.Kind, _ message: String) throws(StorageError) {
        try self.emit(.finding(RecoveryFinding(kind, message, file: Head.Names.head)))
    }

    private func walk(_ meta: PageMeta, rank: Int) throws(StorageError) -> HeadTrees {
        try self.emit(.source(rank: rank, transactionID: meta.transactionID))
        let trees = HeadTrees(
            file: self.file, meta: meta, rank: rank, mode: self.mode, checker: self.checker, emit: self.emit)
        try trees.run()
        return trees
    }

    // MARK: Which commit is the newest

    /// The commits, the newest first. Where the meta pages contradict each other, their contents decide: the
    /// log only ever grows.
    private func rankedMetas() throws(StorageError) -> [PageMeta] {
        guard self.file.metas.count == 2, !self.file.metaProblems.isEmpty else { return self.file.metas }
        let first = try self.age(of: self.file.metas[0])
        let second = try self.age(of: self.file.metas[1])
        return second.lexicographicallyPrecedes(first) || first == second
            ? self.file.metas : self.file.metas.reversed()
    }

    /// Numbers that only grow from commit to commit, the weightiest first.
    private func age(of meta: PageMeta) throws(StorageError) -> [UInt64] {
        let walk = PageWalk(self.file, meta, readsLongValues: false)
        var databases: [String: PageDatabase] = [:]
        _ = try walk.walk(meta.main) { entry in
            guard entry.isDatabase, entry.value.count == PageDatabase.byteCount else { return }
            databases[String(decoding: entry.key, as: UTF8.self)] = PageDatabase(entry.value)
        }
        var state: HeadState?
        var lastFrame: UInt64 = 0
        if let database = databases["meta"] {
            _ = try walk.walk(database) { entry in
                let key = [UInt8](entry.key)
                if key == HeadTrees.stateKey,
                    let bytes = try? HeadFormat.unwrap(entry.value, database: "meta", key: key)
                {
                    state = try? HeadState.decode(bytes)
                }
            }
        }
        if let database = databases["frames"] {
            _ = try walk.walk(database) { entry in
                if entry.key.count == 8 { lastFrame = max(lastFrame, entry.key.integerKey) }
            }
        }
        return [
            max(lastFrame, state?.sealedEnd ?? 0), state?.catalogueVersion ?? 0, state?.hiddenVersion ?? 0,
            state?.incarnation ?? 0,
        ]
    }

    // MARK: Pages that no tree leads to

    private func scan(sealedEnd: UInt64) throws(StorageError) {
        try self.emit(.source(rank: 2, transactionID: 0))
        try PageScan(file: self.file).run { found throws(StorageError) in
            guard let key = found.key else {
                try self.take(frame: FrameHeader.claimed(found.value), key: nil, found, sealedEnd)
                return
            }
            if key.count == 8, FrameHeader.claimedBytes(found.value) == found.value.count {
                try self.take(frame: found.value, key: key.integerKey, found, sealedEnd)
            }
            try self.take([UInt8](key), found.value)
        }
    }

    private func take(
        frame: UnsafeRawBufferPointer?, key: UInt64?, _ found: PageScan.Found, _ sealedEnd: UInt64
    ) throws(StorageError) {
        guard let frame, let header = try? self.checker.check(frame, expectedFirstPosition: key),
            header.firstPosition >= sealedEnd
        else { return }
        try self.emit(
            .frame(
                HeadFrame(
                    rank: 2, first: header.firstPosition, last: header.lastPosition,
                    fileOffset: found.fileOffset, byteCount: frame.count, hash: XXH64.hash(frame))))
    }

    /// Emits a record if its checksum tells which database it belongs to, and if its old and new versions
    /// can be told apart.
    private func take(_ key: [UInt8], _ value: UnsafeRawBufferPointer) throws(StorageError) {
        func unwrapped(_ database: String) -> [UInt8]? {
            try? HeadFormat.unwrap(value, database: database, key: key)
        }
        if key == HeadTrees.stateKey, let state = unwrapped("meta") { try self.emit(.state(state)) }
        if key.count == 8, let segment = unwrapped("segments") { try self.emit(.segment(segment)) }
        if key.count == 8, let dictionary = unwrapped("dictionaries") {
            try self.emit(.value(database: "dictionaries", key: key, value: dictionary))
        }
        if let stream = unwrapped("streams") {
            try self.emit(.value(database: "streams", key: key, value: stream))
        }
        if key.first == RecordSpace.hiddenStreams.byte, let record = unwrapped("records") {
            try self.emit(.value(database: "records", key: key, value: record))
        }
    }
}
