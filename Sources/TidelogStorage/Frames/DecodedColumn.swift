/// Texts of a frame that were unpacked.
struct DecodedTexts: ~Copyable {
    struct Range: BitwiseCopyable {
        var start: UInt32
        var length: UInt32
    }

    var bytes = Numbers<UInt8>()
    var ranges = Numbers<Range>()
    /// Strings made so far; empty until the first is asked for.
    var strings: [String?] = []

    init() {}

    mutating func clear() {
        self.bytes.clear(keeping: 1 << 20)
        self.ranges.clear(keeping: 1 << 16)
        if !self.strings.isEmpty {
            self.strings.removeAll(keepingCapacity: self.strings.count <= 1 << 16)
        }
    }

    /// The UTF-8 of the text at `index`.
    @inline(__always)
    func utf8(_ index: Int) -> UnsafeRawBufferPointer {
        let range = self.ranges[index]
        return UnsafeRawBufferPointer(start: self.bytes.base + Int(range.start), count: Int(range.length))
    }

    /// The text at `index` as a string, made once.
    @inline(__always)
    mutating func string(_ index: Int) -> String {
        if index < self.strings.count, let string = self.strings[index] { return string }
        return self.makeString(index)
    }

    @inline(never)
    private mutating func makeString(_ index: Int) -> String {
        if self.strings.count < self.ranges.count {
            self.strings.append(
                contentsOf: repeatElement(nil, count: self.ranges.count - self.strings.count))
        }
        let string = String(decoding: self.utf8(index), as: UTF8.self)
        self.strings[index] = string
        return string
    }
}

/// Identifiers of a frame that were unpacked; a text's entry says which of `texts` it is.
struct DecodedIdentifiers: ~Copyable {
    var entries = Numbers<IdentifierEntry>()
    var texts = DecodedTexts()
    /// Tags, one for each entry, if they differ.
    var tags = Numbers<UInt8>()

    init() {}

    mutating func clear() {
        self.entries.clear(keeping: 1 << 16)
        self.texts.clear()
        self.tags.clear(keeping: 1 << 16)
    }

    @inline(__always)
    func identifier(_ index: Int) -> Identifier {
        let entry = self.entries[index]
        guard entry.textLength > 0 else { return .uuid(entry.high, entry.low) }
        return .text(String(decoding: self.texts.utf8(Int(entry.textStart)), as: UTF8.self))
    }

    /// `Identifier.hash64` of the identifier.
    @inline(__always)
    func hash(_ index: Int) -> UInt64 {
        let entry = self.entries[index]
        guard entry.textLength > 0 else { return Identifier.uuid(entry.high, entry.low).hash64 }
        let hash = XXH64.hash(self.texts.utf8(Int(entry.textStart)))
        return hash == 0 ? 1 : hash
    }
}

/// A column of distinct values and codes that was unpacked.
struct DecodedColumn: ~Copyable {
    /// For each event 0 for "none", else one more than the index of its value.
    var codes = Numbers<UInt32>()
    /// How many distinct values there are, "none" not counted.
    var distinctCount = 0
    /// Whether an event has none.
    var hasNone = false
    /// The distinct texts, if the column is one of texts.
    var texts = DecodedTexts()
    /// For each distinct value the event that has it first.
    var firstUses = Numbers<UInt32>()

    init() {}

    mutating func clear() {
        self.codes.clear(keeping: 1 << 16)
        self.firstUses.clear(keeping: 1 << 16)
        self.texts.clear()
    }
}
