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

    /// Takes the entry appended last away again.
    mutating func removeLast() {
        let entry = self.entries[self.entries.count &- 1]
        if entry.textLength > 0 { self.texts.count = Int(entry.textStart) }
        self.entries.count &-= 1
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
struct IdentifierInterner: ~Copyable {
    /// The distinct identifiers; "none" has an entry without meaning.
    private(set) var list = IdentifierList()
    /// For each distinct identifier the event that used it first.
    private(set) var firstUses = Numbers<UInt32>()
    /// For each distinct identifier its stable hash; 0 for "none".
    private(set) var hashes = Numbers<UInt64>()
    /// For each event its code.
    var codes = Numbers<UInt32>()
    /// The code of "none", if it has appeared.
    private(set) var noneCode: UInt32?
    private var table = SlotTable()

    init() {}

    var distinctCount: Int { self.list.entries.count }

    /// Notes the identifier of the next event.
    @inline(__always)
    mutating func append(_ identifier: Identifier?) {
        let event = UInt32(truncatingIfNeeded: self.codes.count)
        guard let identifier else {
            self.codes.append(self.internNone(event))
            return
        }
        if case .uuid(let high, let low) = identifier, self.codes.count > 0 {
            let code = self.codes[self.codes.count &- 1]
            let entry = self.list.entries[Int(code)]
            if entry.high == high, entry.low == low, entry.textLength == 0, code != self.noneCode {
                self.codes.append(code)
                return
            }
        }
        self.codes.append(self.intern(identifier, event))
    }

    private mutating func internNone(_ event: UInt32) -> UInt32 {
        if let noneCode { return noneCode }
        let code = UInt32(truncatingIfNeeded: self.list.entries.count)
        self.list.append(.uuid(0, 0))
        self.firstUses.append(event)
        self.hashes.append(0)
        self.noneCode = code
        return code
    }

    private mutating func intern(_ identifier: Identifier, _ event: UInt32) -> UInt32 {
        let code = UInt32(truncatingIfNeeded: self.list.entries.count)
        self.list.append(identifier)
        let hash = self.list.hash(at: Int(code))
        let finding = self.table.find(hash) { self.list.matches(Int($0), self.list, Int(code)) }
        switch finding {
        case .code(let known):
            self.list.removeLast()
            return known
        case .vacant(let index):
            self.table.insert(code, hash: hash, at: index)
            self.firstUses.append(event)
            self.hashes.append(identifier.hash64)
            return code
        }
    }

    mutating func reset() {
        self.list.reset()
        self.firstUses.clear(keeping: 1 << 14)
        self.hashes.clear(keeping: 1 << 14)
        self.codes.clear(keeping: 1 << 16)
        self.noneCode = nil
        self.table.reset()
    }
}
