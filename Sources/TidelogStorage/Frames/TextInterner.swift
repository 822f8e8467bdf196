/// The distinct texts of one column of a frame that is being made, and each event's code.
///
/// Code 0 is "none"; texts have the codes 1, 2, 3, … in the order in which they first appear.
struct TextInterner: ~Copyable {
    struct Entry: BitwiseCopyable {
        var start: UInt32
        var length: UInt32
    }
    /// A string seen before, by the sixteen bytes of its value.
    struct Recent: BitwiseCopyable {
        var bits = StringBits(low: 0, high: 0)
        var code: UInt32 = 0
        /// The frame that the entry belongs to.
        var generation: UInt32 = 0
    }
    struct StringBits: BitwiseCopyable {
        var low: UInt64
        var high: UInt64
    }

    /// The distinct texts. They also keep alive what the recent ones point to.
    var texts: [String] = []
    /// The bytes of the distinct texts, one after the other.
    private(set) var bytes = Numbers<UInt8>()
    private(set) var entries = Numbers<Entry>()
    /// For each event its code.
    var codes = Numbers<UInt32>()
    /// Whether an event has none.
    private(set) var hasNone = false
    private var table = SlotTable()
    private var recent = Numbers<Recent>(capacity: recentCount)
    private var generation: UInt32 = 1
    /// How many texts the frame before had.
    private var expectedCount = 1
    private let hasher = BytesHash()
    private static let recentCount = 64

    init() { self.recent.base.initialize(repeating: Recent(), count: Self.recentCount) }

    /// How many distinct texts there are.
    var distinctCount: Int { self.entries.count }

    /// Whether no event has a text.
    var isEmpty: Bool { self.entries.count == 0 }

    /// The code of a text or of "none", new or known.
    @inline(__always)
    mutating func intern(_ text: String?) -> UInt32 {
        guard let text else {
            self.hasNone = true
            return 0
        }
        // Two strings of the same sixteen bytes are the same string, as long as the first is alive.
        guard MemoryLayout<String>.size == MemoryLayout<StringBits>.size else {
            return self.internBytes(text, nil)
        }
        let bits = unsafeBitCast(text, to: StringBits.self)
        let mixed = (bits.low ^ bits.high) &* XXH64.prime1
        let recent = self.recent.base + Int(truncatingIfNeeded: mixed &>> 58)
        if recent.pointee.bits.low == bits.low, recent.pointee.bits.high == bits.high,
            recent.pointee.generation == self.generation
        {
            return recent.pointee.code
        }
        return self.internBytes(text, recent)
    }

    @inline(never)
    private mutating func internBytes(
        _ text: String, _ recent: UnsafeMutablePointer<Recent>?
    ) -> UInt32 {
        let known = self.entries.count
        var code = text.utf8.withContiguousStorageIfAvailable {
            self.intern(UnsafeRawBufferPointer($0))
        }
        if code == nil {
            var copy = text
            code = copy.withUTF8 { self.intern(UnsafeRawBufferPointer($0)) }
        }
        guard let code else { return 0 }
        if self.entries.count > known {
            if self.texts.isEmpty { self.texts.reserveCapacity(self.expectedCount) }
            self.texts.append(text)
            if let recent {
                recent.pointee = Recent(
                    bits: unsafeBitCast(text, to: StringBits.self), code: code,
                    generation: self.generation)
            }
        }
        return code
    }

    @inline(__always)
    private mutating func intern(_ text: UnsafeRawBufferPointer) -> UInt32 {
        let start = text.baseAddress ?? UnsafeRawPointer(self.bytes.base)
        let count = text.count
        let bytes = UnsafeRawPointer(self.bytes.base)
        let entries = self.entries.base
        let hash = self.hasher.hash(start, count)
        let finding = self.table.find(hash) { code in
            let entry = entries[Int(code)]
            return Int(entry.length) == count
                && BytesHash.areEqual(bytes + Int(entry.start), start, count)
        }
        switch finding {
        case .code(let index): return index &+ 1
        case .vacant(let slot):
            let index = UInt32(truncatingIfNeeded: self.entries.count)
            self.entries.append(
                Entry(
                    start: UInt32(truncatingIfNeeded: self.bytes.count),
                    length: UInt32(truncatingIfNeeded: count)))
            self.bytes.append(UnsafeRawBufferPointer(start: start, count: count))
            self.table.insert(index, hash: hash, at: slot)
            return index &+ 1
        }
    }

    /// The code of a text, if there is one.
    func find(_ text: String) -> UInt32? {
        if self.isEmpty { return nil }
        func find(_ text: UnsafeRawBufferPointer) -> UInt32? {
            guard let start = text.baseAddress else { return nil }
            let bytes = UnsafeRawPointer(self.bytes.base)
            let entries = self.entries.base
            let finding = self.table.find(self.hasher.hash(start, text.count)) { code in
                let entry = entries[Int(code)]
                return Int(entry.length) == text.count
                    && BytesHash.areEqual(bytes + Int(entry.start), start, text.count)
            }
            guard case .code(let index) = finding else { return nil }
            return index &+ 1
        }
        if let code = text.utf8.withContiguousStorageIfAvailable({ find(UnsafeRawBufferPointer($0)) }) {
            return code
        }
        var copy = text
        return copy.withUTF8 { find(UnsafeRawBufferPointer($0)) }
    }

    /// Forgets texts and codes; keeps memory of an ordinary size.
    mutating func reset() {
        self.table.reset()
        // A summary may share the array; then its room is not ours to keep.
        self.expectedCount = min(self.texts.count, 1 << 14)
        self.texts = []
        self.bytes.clear(keeping: 1 << 18)
        self.entries.clear(keeping: 1 << 14)
        self.codes.clear(keeping: 1 << 16)
        self.hasNone = false
        self.generation &+= 1
        if self.generation == 0 {
            self.recent.base.initialize(repeating: Recent(), count: Self.recentCount)
            self.generation = 1
        }
    }
}
