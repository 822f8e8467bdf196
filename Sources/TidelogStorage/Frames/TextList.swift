/// A list of texts as it stands in a chunk, in one of two forms.
///
/// Plain: for each text how many bytes it shares with the one before, for each how many follow, and those,
/// left to zstd. Packed: the same numbers as lists of numbers, and of what follows not bytes but the few
/// characters that occur, each in so many bits: nearly as small where names end in digits, and a single text
/// is read without unpacking the others. The plain form begins with 0, for the first text shares nothing; the
/// packed one with 1.
struct TextList {
    /// What the packed form begins with.
    static let packed: UInt8 = 1
    /// The fewest texts that are packed.
    static let minimumPacked = 8
    /// The most characters that a packed list may use, so that each takes at most four bits.
    static let maximumSymbols = 16

    let prefixes: UnsafePointer<UInt8>
    let suffixes: UnsafePointer<UInt8>
    /// The bytes that follow, or those of the first text.
    private let bytes: UnsafePointer<UInt8>
    /// In the packed form, where the bits begin and what they stand for.
    private var bits: UnsafeRawPointer?
    private var symbols: UnsafePointer<UInt8>
    private var width = 0
    private var firstCount = 0
    private var symbolCount = 1

    /// Reads the head of a list of `count` texts, at least one, and moves `reader` behind the list; nil if it
    /// does not hold together.
    ///
    /// - Parameter scratch: keeps what the list refers to.
    init?(_ reader: inout ByteReader, _ count: Int, scratch: inout Numbers<UInt8>) {
        guard count > 0, reader.remaining > 0 else { return nil }
        if reader.cursor.pointee == 0 {
            guard let prefixes = reader.bytes(count), let suffixes = reader.bytes(count) else { return nil }
            var total = 0
            for index in 0..<count { total &+= Int(suffixes[index]) }
            guard let bytes = reader.bytes(total) else { return nil }
            (self.prefixes, self.suffixes, self.bytes, self.symbols) = (prefixes, suffixes, bytes, bytes)
            return
        }
        guard reader.byte() == Self.packed else { return nil }
        scratch.resize(count &* 2)
        let numbers = scratch.base
        let first = Int(reader.byte())
        guard let bytes = reader.bytes(first) else { return nil }
        numbers[0] = 0
        numbers[count] = UInt8(truncatingIfNeeded: first)
        if count > 1 {
            NumberList.read(&reader, count - 1, into: numbers + 1)
            NumberList.read(&reader, count - 1, into: numbers + (count + 1))
        }
        var total = 0
        for index in 1..<max(count, 1) { total &+= Int(numbers[count &+ index]) }
        let symbolCount = Int(reader.byte())
        guard
            symbolCount >= 1, symbolCount <= Self.maximumSymbols, let symbols = reader.bytes(symbolCount)
        else { return nil }
        self.width = Self.width(symbolCount)
        guard let start = reader.bytes((total &* self.width &+ 7) / 8), !reader.isBroken else { return nil }
        self.prefixes = UnsafePointer(numbers)
        self.suffixes = UnsafePointer(numbers + count)
        self.bytes = bytes
        self.bits = UnsafeRawPointer(start)
        self.symbols = symbols
        self.firstCount = first
        self.symbolCount = symbolCount
    }

    /// How many bits one of `symbols` characters takes.
    static func width(_ symbols: Int) -> Int { Int.bitWidth - (symbols - 1).leadingZeroBitCount }

    @inline(__always)
    private func code(_ place: Int) -> Int {
        guard let bits else { return 0 }
        let bit = place &* self.width
        // At most four bits: two bytes hold them, and there is padding behind.
        let word = bits.littleEndian(UInt16.self, at: bit &>> 3)
        return Int(word &>> UInt16(truncatingIfNeeded: bit & 7)) & (1 &<< self.width &- 1)
    }

    /// The byte at a place among those that follow, of all texts one after the other; nil for a code that
    /// stands for nothing.
    @inline(__always)
    private func byte(_ place: Int) -> UInt8? {
        if self.bits == nil || place < self.firstCount { return self.bytes[place] }
        let code = self.code(place &- self.firstCount)
        return code < self.symbolCount ? self.symbols[code] : nil
    }

    /// The bytes that follow, of all texts: where they stand, or unpacked into `scratch`; nil if a code
    /// stands for nothing.
    func suffixBytes(_ total: Int, scratch: inout Numbers<UInt8>) -> UnsafePointer<UInt8>? {
        if self.bits == nil { return self.bytes }
        scratch.resize(total)
        scratch.base.update(from: self.bytes, count: self.firstCount)
        var highest = 0
        for place in 0..<total &- self.firstCount {
            let code = self.code(place)
            highest = max(highest, code)
            scratch[self.firstCount &+ place] = self.symbols[min(code, self.symbolCount &- 1)]
        }
        if highest >= self.symbolCount { return nil }
        return UnsafePointer(scratch.base)
    }

    /// One text; nil if it shares more than there is, or is not UTF-8.
    func text(_ index: Int) -> String? {
        var start = 0
        for entry in 0..<index { start &+= Int(self.suffixes[entry]) }
        let length = Int(self.prefixes[index]) &+ Int(self.suffixes[index])
        guard length <= FrameFormat.maximumNameBytes else { return nil }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer -> String? in
            guard let target = buffer.baseAddress else { return nil }
            // Backwards through those that it shares its beginning with.
            var needed = length
            var entry = index
            while true {
                let shared = Int(self.prefixes[entry])
                if shared < needed {
                    // A text before it that is too short to be shared with.
                    guard needed &- shared <= Int(self.suffixes[entry]) else { return nil }
                    for offset in 0..<needed &- shared {
                        guard let byte = self.byte(start &+ offset) else { return nil }
                        target[shared &+ offset] = byte
                    }
                    needed = shared
                }
                if needed == 0 { break }
                entry &-= 1
                guard entry >= 0 else { return nil }
                start &-= Int(self.suffixes[entry])
            }
            return String(validating: UnsafeBufferPointer(start: target, count: length), as: UTF8.self)
        }
    }

    /// The index of the text that is `name`; nil if none of the `count` is. None of them is built.
    func index(of name: UnsafeRawBufferPointer, _ count: Int) -> Int? {
        // How many bytes of the text before are those of the name.
        var matching = 0
        var start = 0
        for entry in 0..<count {
            let shared = Int(self.prefixes[entry])
            let rest = Int(self.suffixes[entry])
            if shared <= matching {
                matching = shared
                let limit = min(rest, name.count &- shared)
                var offset = 0
                while offset < limit, self.byte(start &+ offset) == name[shared &+ offset] { offset &+= 1 }
                matching &+= offset
                if matching == name.count, shared &+ rest == name.count { return entry }
            }
            start &+= rest
        }
        return nil
    }
}

extension ColumnPacker {
    /// Packs the list of texts in the plain form that begins at `start` of the chunk, if that is worth it.
    ///
    /// - Returns: whether it was packed.
    mutating func packTexts(_ count: Int, from start: Int) -> Bool {
        guard count >= TextList.minimumPacked else { return false }
        let list = self.plain.base + start
        let first = Int(list[count])
        let bytes = list + count &* 2
        let total = self.plain.count &- start &- count &* 2
        var codes = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        for place in first..<total {
            let bit: UInt64 = 1 &<< UInt64(bytes[place] & 63)
            switch bytes[place] &>> 6 {
            case 0: codes.0 |= bit
            case 1: codes.1 |= bit
            case 2: codes.2 |= bit
            default: codes.3 |= bit
            }
        }
        let symbolCount =
            codes.0.nonzeroBitCount + codes.1.nonzeroBitCount + codes.2.nonzeroBitCount
            + codes.3.nonzeroBitCount
        guard symbolCount >= 1, symbolCount <= TextList.maximumSymbols else { return false }
        let width = TextList.width(symbolCount)
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256 + total + count * 2) { room in
            guard let base = room.baseAddress else { return false }
            let (places, copy) = (base, base + 256)
            copy.update(from: list, count: count * 2 + total)
            self.plain.count = start
            self.plain.append(TextList.packed)
            self.plain.append(UInt8(truncatingIfNeeded: first))
            self.plain.append(UnsafeRawBufferPointer(start: copy + count * 2, count: first))
            for half in 0..<2 {
                self.values.resize(count)
                for index in 1..<count { self.values[index - 1] = UInt64(copy[half * count + index]) }
                _ = NumberList.write(self.values.base, count - 1, to: &self.plain)
            }
            self.plain.append(UInt8(truncatingIfNeeded: symbolCount))
            var next: UInt8 = 0
            for symbol in 0..<256 {
                let word = [codes.0, codes.1, codes.2, codes.3][symbol >> 6]
                guard word & 1 << UInt64(symbol & 63) != 0 else { continue }
                places[symbol] = next
                next += 1
                self.plain.append(UInt8(symbol))
            }
            var (word, filled) = (UInt64(0), UInt64(0))
            self.plain.reserve(self.plain.count &+ total &+ 16)
            for place in first..<total {
                word |= UInt64(places[Int(copy[count * 2 + place])]) &<< filled
                filled &+= UInt64(width)
                while filled >= 8 {
                    self.plain.push(UInt8(truncatingIfNeeded: word))
                    word &>>= 8
                    filled &-= 8
                }
            }
            if filled > 0 { self.plain.push(UInt8(truncatingIfNeeded: word)) }
            return true
        }
    }
}
