/// What a backup consists of: the text file that makes a directory of copied files a backup.
///
/// It is written last and in one step, so there is always a whole one or none. The format, version 1, is
/// lines of fields separated by single spaces:
///
///     tidelog-backup 1
///     log 0d9a4c1b7f3e4f0c8a2b6d5e4f3a2b1c
///     incarnation 0
///     created 1767225600000000000
///     positions 0 336776
///     head head-1042.mdb 4198400 8b2f0c6de5a17394
///     segment 00000000000000000000.mdb 00000000000000000000.8b2f0c6de5a17394.mdb 1048576 … 0 65536 65536
///     checksum 41c6ce57ab01f2d3
///
/// `log` is the log's UUID; `created` is in nanoseconds since 1970; `positions` are that of the oldest event
/// kept and that of the next one; `head` and `segment` end with the length and the XXH64 of the file, and
/// `segment` goes on with the first position covered, the one after the last, and the number of events. A
/// segment has its name in the log and its name in the backup's directory `segments`. `checksum` is the
/// XXH64 of all lines before it. Digests are 16 hexadecimal digits.
package struct BackupManifest: Sendable, Equatable {
    /// A file of the backup.
    package struct File: Sendable, Hashable {
        /// Its name in the backup.
        package var name: String
        package var bytes: Int
        package var digest: UInt64
    }

    /// A sealed segment in the backup.
    package struct Segment: Sendable, Hashable {
        /// Its name in the log.
        package var name: String
        package var file: File
        package var positions: Range<UInt64>
        package var count: Int
    }

    package static let name = "manifest"
    static let version = 1
    private static let maximumBytes = 256 << 20

    package var logID: (UInt64, UInt64)
    package var incarnation: UInt64
    package var createdAt: Int64
    package var positions: Range<UInt64>
    package var head: File
    package var segments: [Segment]

    package static func == (left: Self, right: Self) -> Bool { left.encoded() == right.encoded() }

    /// Where the backup has its segments.
    package static let segmentsDirectory = "segments"

    /// The name in a backup of a segment's file: it tells contents apart, so that a file never has to be
    /// replaced by another of the same name.
    static func fileName(of info: SegmentInfo) -> String {
        "\(info.fileName.dropLast(4)).\(Hex.encode(info.digest)).mdb"
    }

    // MARK: Text

    func encoded() -> [UInt8] {
        var text = "tidelog-backup \(Self.version)\n"
        text += "log \(Hex.encode(self.logID.0))\(Hex.encode(self.logID.1))\n"
        text += "incarnation \(self.incarnation)\n"
        text += "created \(self.createdAt)\n"
        text += "positions \(self.positions.lowerBound) \(self.positions.upperBound)\n"
        text += "head \(Self.fields(self.head))\n"
        for segment in self.segments {
            text += "segment \(segment.name) \(Self.fields(segment.file)) \(segment.positions.lowerBound) "
            text += "\(segment.positions.upperBound) \(segment.count)\n"
        }
        let bytes = Array(text.utf8)
        let checksum = bytes.withUnsafeBytes { XXH64.hash($0) }
        return bytes + Array("checksum \(Hex.encode(checksum))\n".utf8)
    }

    private static func fields(_ file: File) -> String {
        "\(file.name) \(file.bytes) \(Hex.encode(file.digest))"
    }

    /// Reads the manifest of the backup in `directory`; nil if there is none.
    ///
    /// - Throws: ``StorageError`` with code `corrupted` or `unsupportedFormat`.
    package static func read(_ directory: String) throws(StorageError) -> BackupManifest? {
        let path = directory + "/" + self.name
        guard try Files.exists(path) else { return nil }
        return try self.decode(try Files.contents(path, maximumBytes: self.maximumBytes), path: path)
    }

    static func decode(_ bytes: [UInt8], path: String) throws(StorageError) -> BackupManifest {
        let damaged = StorageError(
            .corrupted, "the backup's manifest is damaged, so it cannot be told what the backup holds",
            path: path)
        let text = String(decoding: bytes, as: UTF8.self)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
        }
        guard lines.count >= 8, lines.removeLast() == [""], let head = lines.first, head.count == 2,
            head[0] == "tidelog-backup", let version = Int(head[1])
        else { throw damaged }
        guard let last = lines.popLast(), last.count == 2, last[0] == "checksum",
            let checksum = Hex.decodeNumber(last[1])
        else { throw damaged }
        // "checksum", a space, sixteen digits, the line's end.
        let covered = bytes.dropLast(26)
        guard covered.withUnsafeBytes({ XXH64.hash($0) }) == checksum else { throw damaged }
        guard version == self.version else {
            throw StorageError(
                .unsupportedFormat,
                "the backup has format version \(version), and this build reads version \(self.version)",
                path: path)
        }
        guard let manifest = Self(lines: lines) else { throw damaged }
        return manifest
    }

    private init?(lines: [[String]]) {
        guard
            lines[1].count == 2, lines[1][0] == "log", lines[1][1].utf8.count == 32,
            let high = Hex.decodeNumber(String(lines[1][1].prefix(16))),
            let low = Hex.decodeNumber(String(lines[1][1].suffix(16))),
            lines[2].count == 2, lines[2][0] == "incarnation", let incarnation = UInt64(lines[2][1]),
            lines[3].count == 2, lines[3][0] == "created", let created = Int64(lines[3][1]),
            lines[4].count == 3, lines[4][0] == "positions",
            let positions = Self.range(lines[4][1], lines[4][2]),
            lines[5].count == 4, lines[5][0] == "head", let head = Self.file(lines[5].dropFirst())
        else { return nil }
        self.logID = (high, low)
        self.incarnation = incarnation
        self.createdAt = created
        self.positions = positions
        self.head = head
        self.segments = []
        for line in lines.dropFirst(6) {
            guard
                line.count == 8, line[0] == "segment", Self.isName(line[1]),
                let file = Self.file(line[2...4]), let positions = Self.range(line[5], line[6]),
                let count = Int(line[7])
            else { return nil }
            self.segments.append(Segment(name: line[1], file: file, positions: positions, count: count))
        }
    }

    private static func range(_ lower: String, _ upper: String) -> Range<UInt64>? {
        guard let lower = UInt64(lower), let upper = UInt64(upper), lower <= upper else { return nil }
        return lower..<upper
    }

    private static func file(_ fields: ArraySlice<String>) -> File? {
        let fields = Array(fields)
        guard self.isName(fields[0]), let bytes = Int(fields[1]), bytes > 0,
            let digest = Hex.decodeNumber(fields[2])
        else { return nil }
        return File(name: fields[0], bytes: bytes, digest: digest)
    }

    /// Whether a name stays in its directory.
    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 128 && name.hasSuffix(".mdb")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "."), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    init(
        logID: (UInt64, UInt64), incarnation: UInt64, createdAt: Int64, positions: Range<UInt64>, head: File,
        segments: [Segment]
    ) {
        self.logID = logID
        self.incarnation = incarnation
        self.createdAt = createdAt
        self.positions = positions
        self.head = head
        self.segments = segments
    }
}
