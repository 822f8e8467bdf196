/// Bits, least significant first, as the pages of a segment's index use them.
///
/// Numbers are written in exponential Golomb codes of order *k*: `v + 2^k`, whose bit length is *n*, becomes
/// *n - 1 - k* zero bits, a one bit, and the low *n - 1* bits of `v + 2^k`. Small numbers below 2^k cost k +
/// 1 bits, and a number that is far larger than expected costs twice its length at most, so that no escape is
/// needed.
package struct BitWriter {
    /// The whole words written so far; up to 63 further bits wait in `pending`.
    private var words: [UInt64] = []
    private var pending: UInt64 = 0
    private var pendingCount = 0

    package init() {}

    /// The number of bits written.
    package var bitCount: Int { self.words.count * 64 + self.pendingCount }

    /// Writes the low `count` bits of `value`; the bits above must be zero.
    ///
    /// - Parameter count: 0 to 56.
    @inline(__always)
    package mutating func write(_ value: UInt64, count: Int) {
        self.pending |= value &<< UInt64(truncatingIfNeeded: self.pendingCount)
        let total = self.pendingCount &+ count
        if total < 64 {
            self.pendingCount = total
            return
        }
        self.words.append(self.pending)
        // At least one bit of the value went into the word, for `count` is less than 64.
        self.pending = value &>> UInt64(truncatingIfNeeded: 64 &- self.pendingCount)
        self.pendingCount = total &- 64
    }

    /// Writes `value`, below 2^48, in the exponential Golomb code of `order`.
    package mutating func writeGolomb(_ value: UInt64, order: Int) {
        let shifted = value + 1 &<< UInt64(order)
        let length = 64 - shifted.leadingZeroBitCount
        let zeros = length - 1 - order
        self.write(1 &<< UInt64(zeros), count: zeros + 1)
        self.write(shifted & (1 &<< UInt64(length - 1) - 1), count: length - 1)
    }

    /// The number of bits that `writeGolomb` takes.
    package static func golombCost(_ value: UInt64, order: Int) -> Int {
        let length = 64 - (value + 1 &<< UInt64(order)).leadingZeroBitCount
        return 2 * length - 1 - order
    }

    /// Writes any number of zero bits.
    package mutating func writeZeros(_ count: Int) {
        var left = count
        while left > 0 {
            self.write(0, count: min(left, 56))
            left -= 56
        }
    }

    /// Writes all bits of another writer.
    package mutating func append(_ other: BitWriter) {
        for word in other.words {
            self.write(word & 0xffff_ffff, count: 32)
            self.write(word >> 32, count: 32)
        }
        self.write(other.pending & 0xffff_ffff, count: min(32, other.pendingCount))
        self.write(other.pending >> 32, count: max(0, other.pendingCount - 32))
    }

    /// Fills the last byte with zero bits and hands over all bytes; the writer is then empty.
    package mutating func finish() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(self.bitCount / 8 + 8)
        for word in self.words {
            withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
        }
        withUnsafeBytes(of: self.pending.littleEndian) { last in
            bytes.append(contentsOf: last.prefix((self.pendingCount + 7) / 8))
        }
        self.reset()
        return bytes
    }

    /// Forgets all bits and keeps the memory.
    package mutating func reset() {
        self.words.removeAll(keepingCapacity: true)
        self.pending = 0
        self.pendingCount = 0
    }
}

/// Reads what ``BitWriter`` wrote.
///
/// Reading past the end gives zeros and sets ``isExhausted``, so that a caller checks once for several codes;
/// nothing outside the bytes is ever touched.
package struct BitReader {
    private let bytes: UnsafeRawBufferPointer
    private let bitCount: Int
    /// Up to here a whole word can be loaded.
    private let wordLimit: Int
    private var bit = 0
    /// Whether a code was malformed.
    private var isMalformed = false

    @inline(__always)
    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        self.bitCount = bytes.count &* 8
        self.wordLimit = bytes.count &- 8
    }

    /// Whether more was read than there is, or a code was not one that the writer makes.
    @inline(__always)
    package var isExhausted: Bool { self.isMalformed || self.bit > self.bitCount }

    /// At least 57 bits from a place on, zeros past the end.
    @inline(__always)
    private func window(at bit: Int) -> UInt64 {
        self.word(atByte: bit &>> 3) &>> UInt64(truncatingIfNeeded: bit & 7)
    }

    /// The 64 bits from a byte on, zeros past the end.
    @inline(__always)
    package func word(atByte index: Int) -> UInt64 {
        if index <= self.wordLimit, let start = self.bytes.baseAddress {
            return UInt64(littleEndian: (start + index).loadUnaligned(as: UInt64.self))
        }
        return self.lastWord(atByte: index)
    }

    /// A word of which not all is there.
    @inline(never)
    private func lastWord(atByte first: Int) -> UInt64 {
        var word: UInt64 = 0
        var index = self.bytes.count - 1
        while index >= first {
            word = word << 8 | UInt64(self.bytes[index])
            index -= 1
        }
        return word
    }

    /// Goes to a place.
    @inline(__always)
    package mutating func seek(toBit bit: Int) {
        self.bit = bit
    }

    /// The `count` bits, 0 to 56, from a place on; zeros past the end.
    @inline(__always)
    package func bits(at bit: Int, count: Int) -> UInt64 {
        self.window(at: bit) & (1 &<< UInt64(truncatingIfNeeded: count) &- 1)
    }

    /// Reads `count` bits, 0 to 56.
    @inline(__always)
    package mutating func read(count: Int) -> UInt64 {
        let value = self.window(at: self.bit) & (1 &<< UInt64(truncatingIfNeeded: count) &- 1)
        self.bit &+= count
        return value
    }

    /// Reads a number in the exponential Golomb code of `order`, 0 to 47.
    @inline(__always)
    package mutating func readGolomb(order: Int) -> UInt64 {
        let window = self.window(at: self.bit)
        let zeros = window.trailingZeroBitCount
        let length = zeros &+ order
        guard length <= 48 else {
            self.isMalformed = true
            return 0
        }
        self.bit &+= zeros &+ 1
        // Nearly always both parts of the code lie in the one word that was loaded.
        let rest =
            zeros &+ 1 &+ length <= 57
            ? window &>> UInt64(truncatingIfNeeded: zeros &+ 1)
            : self.window(at: self.bit)
        self.bit &+= length
        let one = 1 &<< UInt64(truncatingIfNeeded: length)
        return (one | rest & (one &- 1)) &- 1 &<< UInt64(truncatingIfNeeded: order)
    }

    /// Passes over a number in the exponential Golomb code of `order`.
    @inline(__always)
    package mutating func skipGolomb(order: Int) {
        let zeros = self.window(at: self.bit).trailingZeroBitCount
        if zeros &+ order > 48 { self.isMalformed = true }
        self.bit &+= 2 &* zeros &+ 1 &+ order
    }

    /// Whether all was read but the zero bits that fill the last byte.
    package var isAtEnd: Bool {
        guard !self.isExhausted, self.bitCount - self.bit < 8 else { return false }
        return self.window(at: self.bit) == 0
    }
}
