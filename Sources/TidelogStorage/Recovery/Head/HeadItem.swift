// What a walk through the head tells, item by item, and the same as lines of text: so that the walk can run
// in a child process, whose end by a signal is then one more finding.

/// A frame of the head that is intact, and where it stands in the file.
struct HeadFrame: Hashable, Sendable {
    /// 0: reachable from the newest commit; 1: from the one before; 2: found in a page that no tree led to.
    var rank: Int
    var first: UInt64
    var last: UInt64
    var fileOffset: Int
    var byteCount: Int
    /// XXH64 of the frame, to tell equal ones from different ones.
    var hash: UInt64

    var positions: Range<UInt64> { self.first..<self.last + 1 }
}

/// One thing that a walk through the head found.
enum HeadItem: Hashable, Sendable {
    /// What follows belongs to this rank (see ``HeadFrame/rank``); the commit's number, if there is one.
    case source(rank: Int, transactionID: UInt64)
    case state([UInt8])
    case segment([UInt8])
    case frame(HeadFrame)
    /// A frame that is named but not intact: where it begins and, as far as its header is intact, where it
    /// ends.
    case damagedFrame(first: UInt64, end: UInt64?)
    /// A stream with events in a damaged frame, and the revision after its last one there.
    case damagedStream(name: [UInt8], nextRevision: UInt64)
    /// A value of `streams`, `records` or `dictionaries`.
    case value(database: String, key: [UInt8], value: [UInt8])
    /// A database has been gone through: how many entries it should have, and how many were intact.
    case database(name: String, stated: UInt64, intact: UInt64, isWhole: Bool, reachesEnd: Bool)
    case finding(RecoveryFinding)
    /// The position after the last event whose frame is there.
    case frames(end: UInt64)
    case progress(done: Int, total: Int)
    /// The walk could not be done: the error's code and message.
    case failure(code: String, message: String)
    /// The walk came to its end.
    case end
}

extension HeadItem {
    /// The item as one line, without the line's end.
    var line: String {
        switch self {
        case .source(let rank, let transaction): return "source \(rank) \(transaction)"
        case .state(let bytes): return "state \(Hex.encode(bytes))"
        case .segment(let bytes): return "segment \(Hex.encode(bytes))"
        case .frame(let frame):
            return "frame \(frame.rank) \(frame.first) \(frame.last) \(frame.fileOffset) \(frame.byteCount) "
                + "\(frame.hash)"
        case .damagedFrame(let first, let end): return "damaged-frame \(first) \(end.map { "\($0)" } ?? "-")"
        case .damagedStream(let name, let next): return "damaged-stream \(Hex.encode(name)) \(next)"
        case .value(let database, let key, let value):
            return "value \(database) \(Hex.encode(key)) \(Hex.encode(value))"
        case .database(let name, let stated, let intact, let isWhole, let reachesEnd):
            return "database \(name) \(stated) \(intact) \(isWhole ? 1 : 0) \(reachesEnd ? 1 : 0)"
        case .finding(let finding):
            let positions = finding.positions.map { "\($0.lowerBound) \($0.upperBound)" } ?? "- -"
            return "finding \(finding.kind.rawValue) \(finding.isNote ? 1 : 0) "
                + "\(Hex.encode(Array((finding.file ?? "").utf8))) \(positions) \(Self.onOneLine(finding.message))"
        case .frames(let end): return "frames \(end)"
        case .progress(let done, let total): return "progress \(done) \(total)"
        case .failure(let code, let message): return "failure \(code) \(Self.onOneLine(message))"
        case .end: return "end"
        }
    }

    /// Reads a line; nil if it is none that this version writes.
    init?(line: String) {
        var fields = LineFields(line)
        switch fields.word() {
        case "source": self = .source(rank: fields.number(), transactionID: fields.number())
        case "state": self = .state(fields.bytes())
        case "segment": self = .segment(fields.bytes())
        case "frame":
            self = .frame(
                HeadFrame(
                    rank: fields.number(), first: fields.number(), last: fields.number(),
                    fileOffset: fields.number(), byteCount: fields.number(), hash: fields.number()))
        case "damaged-frame":
            let first: UInt64 = fields.number()
            self = .damagedFrame(first: first, end: fields.optionalNumber())
        case "damaged-stream": self = .damagedStream(name: fields.bytes(), nextRevision: fields.number())
        case "value":
            self = .value(database: fields.word(), key: fields.bytes(), value: fields.bytes())
        case "database":
            self = .database(
                name: fields.word(), stated: fields.number(), intact: fields.number(),
                isWhole: fields.number() == 1, reachesEnd: fields.number() == 1)
        case "finding":
            guard let kind = RecoveryFinding.Kind(rawValue: fields.word()) else { return nil }
            let isNote = fields.number() == 1
            let file = String(decoding: fields.bytes(), as: UTF8.self)
            let lower = fields.optionalNumber()
            let upper = fields.optionalNumber()
            var positions: Range<UInt64>?
            if let lower, let upper, lower <= upper { positions = lower..<upper }
            self = .finding(
                RecoveryFinding(
                    kind, fields.rest(), file: file.isEmpty ? nil : file, positions: positions, isNote: isNote
                ))
        case "frames": self = .frames(end: fields.number())
        case "progress": self = .progress(done: fields.number(), total: fields.number())
        case "failure": self = .failure(code: fields.word(), message: fields.rest())
        case "end": self = .end
        default: return nil
        }
        if fields.hasFailed { return nil }
    }

    private static func onOneLine(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }
}

/// The fields of a line, separated by one space each.
private struct LineFields {
    private var remaining: Substring.UTF8View
    private(set) var hasFailed = false

    init(_ line: String) {
        self.remaining = Substring(line).utf8
    }

    mutating func word() -> String {
        guard !self.remaining.isEmpty else {
            self.hasFailed = true
            return ""
        }
        let end = self.remaining.firstIndex(of: UInt8(ascii: " ")) ?? self.remaining.endIndex
        let word = String(Substring(self.remaining[..<end]))
        self.remaining =
            end < self.remaining.endIndex ? self.remaining[end...].dropFirst() : self.remaining[end...]
        return word
    }

    mutating func number<Number: FixedWidthInteger>() -> Number {
        guard let number = Number(self.word()) else {
            self.hasFailed = true
            return 0
        }
        return number
    }

    mutating func optionalNumber() -> UInt64? {
        let word = self.word()
        if word == "-" { return nil }
        let number = UInt64(word)
        if number == nil { self.hasFailed = true }
        return number
    }

    mutating func bytes() -> [UInt8] {
        guard let bytes = Hex.decode(self.word()) else {
            self.hasFailed = true
            return []
        }
        return bytes
    }

    mutating func rest() -> String {
        defer { self.remaining = self.remaining[self.remaining.endIndex...] }
        return String(Substring(self.remaining))
    }
}

/// Bytes as text: two digits each, "-" for none.
enum Hex {
    static func encode(_ bytes: [UInt8]) -> String {
        if bytes.isEmpty { return "-" }
        return String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
            for (index, byte) in bytes.enumerated() {
                buffer[index * 2] = Self.digit(byte >> 4)
                buffer[index * 2 + 1] = Self.digit(byte & 15)
            }
            return bytes.count * 2
        }
    }

    /// Sixteen digits.
    static func encode(_ number: UInt64) -> String {
        Self.encode(withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) })
    }

    static func decode(_ text: String) -> [UInt8]? {
        if text == "-" { return [] }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for character in text.utf8 {
            guard let value = Self.value(character) else { return nil }
            if let known = high {
                bytes.append(known << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil && !bytes.isEmpty ? bytes : nil
    }

    static func decodeNumber(_ text: String) -> UInt64? {
        guard let bytes = Self.decode(text), bytes.count == 8 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
