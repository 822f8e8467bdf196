/// The distinct texts of one column of a frame that is being made, and each event's code.
///
/// Texts are numbered in the order in which they first appear; "none" is a value like any other.
struct TextInterner: ~Copyable {
    struct Entry: BitwiseCopyable {
        var start: UInt32
        /// In bytes; `UInt32.max` for "none".
        var length: UInt32
    }

    /// The bytes of the distinct texts, one after the other.
    private(set) var bytes = Numbers<UInt8>()
    private(set) var entries = Numbers<Entry>()
    /// For each event its code.
    var codes = Numbers<UInt32>()
    /// The code of "none", if it has appeared.
    private(set) var noneCode: UInt32?
    private var table = SlotTable()
    private var previous: UInt32 = 0
    private let hasher = BytesHash()

    init() {}

    /// How many distinct values there are, "none" among them.
    var distinctCount: Int { self.entries.count }

    /// The code of a text or of "none", new or known.
    @inline(__always)
    mutating func intern(_ text: String?) -> UInt32 {
        guard let text else { return self.internNone() }
        if let code = text.utf8.withContiguousStorageIfAvailable({
            self.intern(UnsafeRawBufferPointer($0))
        }) {
            return code
        }
        var copy = text
        return copy.withUTF8 { self.intern(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private mutating func internNone() -> UInt32 {
        if let noneCode { return noneCode }
        let code = UInt32(truncatingIfNeeded: self.entries.count)
        self.noneCode = code
        self.entries.append(Entry(start: 0, length: .max))
        return code
    }

    @inline(__always)
    private mutating func intern(_ text: UnsafeRawBufferPointer) -> UInt32 {
        let start = text.baseAddress ?? UnsafeRawPointer(self.bytes.base)
        let count = text.count
        let bytes = UnsafeRawPointer(self.bytes.base)
        let entries = self.entries.base
        if Int(self.previous) < self.entries.count,
            Self.matches(entries[Int(self.previous)], bytes, start, count)
        {
            return self.previous
        }
        let hash = self.hasher.hash(start, count)
        switch self.table.find(hash, { Self.matches(entries[Int($0)], bytes, start, count) }) {
        case .code(let code):
            self.previous = code
            return code
        case .vacant(let index):
            return self.insert(start, count, hash: hash, at: index)
        }
    }

    @inline(__always)
    private static func matches(
        _ entry: Entry, _ bytes: UnsafeRawPointer, _ start: UnsafeRawPointer, _ count: Int
    ) -> Bool {
        Int(entry.length) == count && BytesHash.areEqual(bytes + Int(entry.start), start, count)
    }

    @inline(never)
    private mutating func insert(
        _ start: UnsafeRawPointer, _ count: Int, hash: UInt32, at index: Int
    ) -> UInt32 {
        let code = UInt32(truncatingIfNeeded: self.entries.count)
        self.entries.append(
            Entry(
                start: UInt32(truncatingIfNeeded: self.bytes.count),
                length: UInt32(truncatingIfNeeded: count)))
        self.bytes.append(UnsafeRawBufferPointer(start: start, count: count))
        self.table.insert(code, hash: hash, at: index)
        self.previous = code
        return code
    }

    /// Forgets texts and codes; keeps memory of an ordinary size.
    mutating func reset() {
        self.table.reset()
        self.bytes.clear(keeping: 1 << 18)
        self.entries.clear(keeping: 1 << 14)
        self.codes.clear(keeping: 1 << 16)
        self.noneCode = nil
        self.previous = 0
    }
}
