/// The databases of one commit of the head, gone through one after the other.
final class HeadTrees {
    static let stateKey = Array("state".utf8)
    static let databaseNames = ["meta", "segments", "dictionaries", "frames", "streams", "records"]
    private static let integerKeyed: Set<String> = ["segments", "dictionaries", "frames"]
    private static let maximumFindings = 1000

    private let rank: Int
    private let mode: HeadWalk.Mode
    private let emit: HeadWalk.Emit
    private let walk: PageWalk
    private let meta: PageMeta
    private var findings = 0
    private var frames: HeadFrames

    /// Whether nothing is damaged and nothing is missing.
    private(set) var isWhole = true
    private(set) var state: HeadState?
    private var catalogueEnd: UInt64 = 0

    /// The position after the last sealed event, as far as that is known.
    var sealedEnd: UInt64? { self.state?.sealedEnd }

    init(
        file: PageFile, meta: PageMeta, rank: Int, mode: HeadWalk.Mode, checker: FrameChecker,
        emit: @escaping HeadWalk.Emit
    ) {
        self.rank = rank
        self.mode = mode
        self.emit = emit
        self.meta = meta
        self.walk = PageWalk(file, meta)
        self.frames = HeadFrames(checker: checker, rank: rank, isSalvage: mode == .salvage)
    }

    func run() throws(StorageError) {
        let databases = try self.databases()
        for name in self.mode.databases {
            guard let database = databases[name] else {
                try self.damage(.headPages, "the database '\(name)' is missing")
                try self.emit(
                    .database(name: name, stated: 0, intact: 0, isWhole: false, reachesEnd: false))
                continue
            }
            let isInteger = database.flags & PageDatabase.integerKeys != 0
            guard isInteger == Self.integerKeyed.contains(name),
                database.flags & ~PageDatabase.integerKeys == 0
            else {
                try self.damage(.headPages, "the record of the database '\(name)' is damaged")
                try self.emit(
                    .database(
                        name: name, stated: database.entries, intact: 0, isWhole: false, reachesEnd: false))
                continue
            }
            try self.run(name, database)
        }
        if self.mode == .verify || self.mode == .salvage && self.rank == 0 {
            let result = try self.walk.walkFreePages()
            for problem in result.problems { try self.damage(.headPages, "among the free pages: \(problem)") }
        }
    }

    /// The records of the named databases.
    private func databases() throws(StorageError) -> [String: PageDatabase] {
        var databases: [String: PageDatabase] = [:]
        var strangers: [String] = []
        let result = try self.walk.walk(self.meta.main) { entry in
            let name = String(decoding: entry.key, as: UTF8.self)
            if entry.isDatabase, entry.value.count == PageDatabase.byteCount,
                Self.databaseNames.contains(name)
            {
                databases[name] = PageDatabase(entry.value)
            } else {
                strangers.append(name)
            }
        }
        for problem in result.problems { try self.damage(.headPages, problem) }
        for name in strangers {
            try self.damage(.headPages, "there is a database '\(name)' that does not belong here")
        }
        return databases
    }

    private func run(_ name: String, _ database: PageDatabase) throws(StorageError) {
        var intact: UInt64 = 0
        let result = try self.walk.walk(database) { entry throws(StorageError) in
            if try self.visit(name, entry) { intact += 1 }
        }
        for problem in result.problems {
            try self.damage(.headPages, "in the database '\(name)': \(problem)")
        }
        if name == "meta", self.state == nil {
            try self.damage(.headValue, "the head's state is missing")
        }
        if name == "frames" { try self.report(self.frames.finish()) }
        if name == "streams", result.isWhole, self.isWhole {
            try self.report(self.frames.streamsWithoutHead())
        }
        try self.emit(
            .database(
                name: name, stated: database.entries, intact: intact,
                isWhole: result.isWhole && intact == result.entries, reachesEnd: result.reachesEnd))
    }

    // MARK: Entries

    /// Checks an entry; answers whether it is intact.
    private func visit(_ name: String, _ entry: PageEntry) throws(StorageError) -> Bool {
        if name == "frames" {
            let first = entry.key.integerKey
            // Leftovers of sealing are deleted without being looked at.
            if first < self.state?.sealedEnd ?? self.catalogueEnd { return true }
            if FrameHeader.isOfNewerVersion(entry.value) {
                throw StorageError(
                    .unsupportedFormat,
                    "the head holds frames of a newer format version; use a newer Tidelog",
                    path: self.walk.file.path)
            }
            self.frames.begin(sealedEnd: self.state?.sealedEnd)
            let (isIntact, reports) = self.frames.visit(first, entry)
            try self.report(reports)
            return isIntact
        }
        let key = [UInt8](entry.key)
        let value: [UInt8]
        do throws(StorageError) {
            value = try HeadFormat.unwrap(entry.value, database: name, key: key)
        } catch {
            try self.damage(.headValue, "a value of the database '\(name)' does not match its checksum")
            return false
        }
        do throws(StorageError) {
            try self.visit(name, key, value)
            return true
        } catch {
            // A newer version is no damage, and an error of `emit` must get through.
            if error.code != .corrupted { throw error }
            try self.damage(.headValue, error.message, positions: error.positions)
            return false
        }
    }

    private func visit(_ name: String, _ key: [UInt8], _ value: [UInt8]) throws(StorageError) {
        switch name {
        case "meta" where key == Self.stateKey:
            self.state = try HeadState.decode(value)
            try self.emit(.state(value))
        case "segments":
            let info = try SegmentInfo.decode(value)
            let range = info.positions
            guard HeadKeys.integer(range.lowerBound) == key else {
                throw StorageError(
                    .corrupted, "a segment stands in the catalogue under another position", positions: range)
            }
            try self.emit(.segment(value))
            try self.check(info)
        case "dictionaries":
            self.frames.checker.add(dictionary: UInt32(truncatingIfNeeded: Self.integer(key)), value)
            if self.mode == .salvage { try self.emit(.value(database: name, key: key, value: value)) }
        case "streams":
            let head = try StreamHead.decode(value)
            if self.mode != .verify { try self.emit(.value(database: name, key: key, value: value)) }
            if self.mode.reports {
                try self.report(self.frames.check(stream: String(decoding: key, as: UTF8.self), head))
            }
        case "records":
            if key.first == RecordSpace.hiddenStreams.byte, value.count != 8 || key.count < 2 {
                throw StorageError(.corrupted, "the record of a truncated stream is damaged")
            }
            if self.mode == .salvage { try self.emit(.value(database: name, key: key, value: value)) }
        default: break
        }
    }

    private func check(_ info: SegmentInfo) throws(StorageError) {
        let range = info.positions
        if range.lowerBound < self.catalogueEnd {
            try self.damage(.catalogue, "two segments cover the same positions", positions: range)
        }
        self.catalogueEnd = max(self.catalogueEnd, range.upperBound)
        if let state, range.upperBound > state.sealedEnd || range.lowerBound < state.firstPosition {
            try self.damage(
                .catalogue, "a segment lies outside of the positions that the head's state gives",
                positions: range)
        }
        if info.generation == 0, UInt64(info.count) != range.upperBound - range.lowerBound {
            try self.damage(
                .catalogue, "a segment that was only sealed does not hold an event at each position",
                positions: range)
        }
    }

    private static func integer(_ key: [UInt8]) -> UInt64 {
        key.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    // MARK: Findings

    private func damage(
        _ kind: RecoveryFinding.Kind, _ message: String, positions: Range<UInt64>? = nil
    ) throws(StorageError) {
        try self.report([
            .finding(RecoveryFinding(kind, message, file: Head.Names.head, positions: positions))
        ])
    }

    private func report(_ items: [HeadItem]) throws(StorageError) {
        for item in items {
            if case .finding = item {
                self.isWhole = false
                self.findings += 1
                // What an older commit lacks is no news.
                if self.rank > 0 || !self.mode.reports || self.findings > Self.maximumFindings { continue }
            }
            try self.emit(item)
        }
    }
}
