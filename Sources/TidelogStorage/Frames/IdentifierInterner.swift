/// An identifier in a frame that is being made: sixteen bytes, or where its text stands.
struct IdentifierEntry: BitwiseCopyable {
    var high: UInt64
    var low: UInt64
    var textStart: UInt32 = 0
    /// In bytes; 0 for a UUID.
    var textLength: UInt32 = 0

    /// Whether this is a UUID of version 7 in the variant of RFC 9562.
    @inline(__always)
    var isTimeOrdered: Bool {
        self.textLength == 0 && (self.high &>> 12) & 0xf == 7 && self.low &>> 62 == 2
    }
}

/// Identifiers in the order in which they were added.
struct IdentifierList: ~Copyable {
    private(set) var entries = Numbers<IdentifierEntry>()
    private(set) var texts = Numbers<UInt8>()
    private let hasher = BytesHash()

    init() {}

    @inline(__always)
    mutating func append(_ identifier: Identifier) {
        switch identifier {
        case .uuid(let high, let low): self.entries.append(IdentifierEntry(high: high, low: low))
        case .text(let text): self.append(text)
        }
    }

    /// Adds a text; a UUID's place is taken by where the text stands.
    @inline(never)
    private mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            self.entries.append(
                IdentifierEntry(
                    high: 0, low: 0, textStart: UInt32(truncatingIfNeeded: self.texts.count),
                    textLength: UInt32(truncatingIfNeeded: bytes.count)))
            self.texts.append(UnsafeRawBufferPointer(bytes))
        }
    }

    /// A hash for tables of this process.
    @inline(__always)
    func hash(at index: Int) -> UInt32 {
        let entry = self.entries[index]
        guard entry.textLength > 0 else { return self.hasher.hash(entry.high, entry.low) }
        return self.hasher.hash(
            UnsafeRawPointer(self.texts.base + Int(entry.textStart)), Int(entry.textLength))
    }

    /// Whether the entry at `index` is the one at `other` in `list`.
    @inline(__always)
    func matches(_ index: Int, _ list: borrowing IdentifierList, _ other: Int) -> Bool {
        let (a, b) = (self.entries[index], list.entries[other])
        guard a.textLength == b.textLength, a.high == b.high, a.low == b.low else { return false }
        return a.textLength == 0
            || BytesHash.areEqual(
                self.texts.base + Int(a.textStart), list.texts.base + Int(b.textStart), Int(a.textLength))
    }

    mutating func reset() {
        self.entries.clear(keeping: 1 << 14)
        self.texts.clear(keeping: 1 << 16)
    }
}

/// The distinct correlation or causation ids of a frame that is being made, and each event's code.
///
/// Code 0 is "none"; identifiers have the codes 1, 2, 3, … in the order in which they first appear.
struct IdentifierInterner: ~Copyable {
    /// The distinct identifiers.
    private(set) var list = IdentifierList()
    /// For each distinct identifier the event that used it first.
    private(set) var firstUses = Numbers<UInt32>()
    /// The stable hash for each code: of "none" 0, then of the distinct identifiers.
    private(set) var hashes = Numbers<UInt64>()
    /// For each event its code.
    var codes = Numbers<UInt32>()
    /// Whether an event has none.
    private(set) var hasNone = false
    private var table = SlotTable()
    private var previous: UInt32 = 0
    private let hasher = BytesHash()

    init() { self.hashes.append(0) }

    /// How many distinct identifiers there are.
    var distinctCount: Int { self.list.entries.count }

    /// Whether no event has an identifier.
    var isEmpty: Bool { self.list.entries.count == 0 }

    /// The code of the identifier of event `event`, or of "none".
    @inline(__always)
    mutating func intern(_ identifier: Identifier?, event: UInt32) -> UInt32 {
        switch identifier {
        case nil:
            self.hasNone = true
            return 0
        case .uuid(let high, let low):
            let entries = self.list.entries.base
            if self.previous > 0 {
                let entry = entries[Int(self.previous &- 1)]
                if entry.high == high, entry.low == low, entry.textLength == 0 { return self.previous }
            }
            let hash = self.hasher.hash(high, low)
            let finding = self.table.find(hash) { index in
                let entry = entries[Int(index)]
                return entry.high == high && entry.low == low && entry.textLength == 0
            }
            switch finding {
            case .code(let index):
                self.previous = index &+ 1
            case .vacant(let slot):
                self.previous = self.insert(.uuid(high, low), event, hash: hash, at: slot)
            }
            return self.previous
        case .text(let text):
            return self.intern(text, event)
        }
    }

    @inline(never)
    private mutating func intern(_ text: String, _ event: UInt32) -> UInt32 {
        var copy = text
        let (hash, finding) = copy.withUTF8 { bytes in
            let start = UnsafeRawPointer(bytes.baseAddress ?? UnsafePointer(self.list.texts.base))
            let hash = self.hasher.hash(start, bytes.count)
            let finding = self.table.find(hash) { index in
                let entry = self.list.entries[Int(index)]
                return Int(entry.textLength) == bytes.count
                    && BytesHash.areEqual(
                        self.list.texts.base + Int(entry.textStart), start, bytes.count)
            }
            return (hash, finding)
        }
        switch finding {
        case .code(let index): return index &+ 1
        case .vacant(let slot): return self.insert(.text(text), event, hash: hash, at: slot)
        }
    }

    private mutating func insert(
        _ identifier: Identifier, _ event: UInt32, hash: UInt32, at slot: Int
    ) -> UInt32 {
        let index = UInt32(truncatingIfNeeded: self.list.entries.count)
        self.list.append(identifier)
        self.firstUses.append(event)
        self.hashes.append(identifier.hash64)
        self.table.insert(index, hash: hash, at: slot)
        return index &+ 1
    }

    mutating func reset() {
        self.list.reset()
        self.firstUses.clear(keeping: 1 << 14)
        self.hashes.clear(keeping: 1 << 14)
        self.hashes.append(0)
        self.codes.clear(keeping: 1 << 16)
        self.hasNone = false
        self.previous = 0
        self.table.reset()
    }
}
