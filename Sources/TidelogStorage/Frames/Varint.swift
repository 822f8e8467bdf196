/// Whole numbers in seven bits a byte, least significant first; the top bit says that more follow.
enum Varint {
    /// The longest form of 64 bits.
    static let maximumBytes = 10

    /// Writes `value` and moves the cursor behind it; ten bytes of room must be there.
    @inline(__always)
    static func write(_ value: UInt64, at cursor: inout UnsafeMutablePointer<UInt8>) {
        var value = value
        while value >= 0x80 {
            cursor.pointee = UInt8(truncatingIfNeeded: value) | 0x80
            cursor += 1
            value &>>= 7
        }
        cursor.pointee = UInt8(truncatingIfNeeded: value)
        cursor += 1
    }

    /// How many bytes ``write(_:at:)`` writes.
    @inline(__always)
    static func size(_ value: UInt64) -> Int {
        // (significant bits + 6) / 7, without a division; zero counts as one bit.
        ((64 &- (value | 1).leadingZeroBitCount) &* 9 &+ 64) &>> 6
    }

    /// Numbers of either sign as small numbers without one: 0, -1, 1, -2 become 0, 1, 2, 3.
    @inline(__always)
    static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    }

    /// Undoes ``zigzag(_:)``.
    @inline(__always)
    static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value &>> 1) ^ (0 &- Int64(bitPattern: value & 1))
    }
}

/// Reads numbers and bytes from memory that is not trusted.
///
/// The memory behind the end, up to `padding` bytes, must be readable (see `Numbers`), though nothing there
/// is ever believed. What is not there reads as zero and marks the reader as broken, once and for all: a caller checks
/// `isBroken` once, after the last read and before it believes anything. No read leaves the bounds.
struct ByteReader {
    private(set) var cursor: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>
    private(set) var isBroken = false

    init(_ start: UnsafePointer<UInt8>, count: Int) {
        self.cursor = start
        self.end = start + count
    }

    /// How many bytes are left.
    @inline(__always)
    var remaining: Int { self.end - self.cursor }

    /// Whether everything was read and nothing was missing.
    var isComplete: Bool { !self.isBroken && self.cursor == self.end }

    @inline(__always)
    mutating func byte() -> UInt8 {
        guard self.cursor < self.end else {
            self.isBroken = true
            return 0
        }
        let byte = self.cursor.pointee
        self.cursor += 1
        return byte
    }

    @inline(__always)
    mutating func varint() -> UInt64 {
        if self.cursor < self.end, self.cursor.pointee < 0x80 {
            let byte = self.cursor.pointee
            self.cursor += 1
            return UInt64(byte)
        }
        return self.longVarint()
    }

    /// A varint that must fit a non-negative `Int` and be at most `limit`.
    @inline(__always)
    mutating func size(atMost limit: Int) -> Int {
        let value = self.varint()
        guard value <= UInt64(limit) else {
            self.isBroken = true
            return 0
        }
        return Int(truncatingIfNeeded: value)
    }

    /// Marks the reader as broken.
    mutating func fail() { self.isBroken = true }

    mutating func littleEndian64() -> UInt64 {
        guard let start = self.bytes(8) else { return 0 }
        return UInt64(littleEndian: UnsafeRawPointer(start).loadUnaligned(as: UInt64.self))
    }

    /// Steps over `count` bytes and gives where they start; nil if they are not there.
    @inline(__always)
    mutating func bytes(_ count: Int) -> UnsafePointer<UInt8>? {
        guard count >= 0, count <= self.remaining else {
            self.isBroken = true
            return nil
        }
        let start = self.cursor
        self.cursor += count
        return start
    }

    @inline(__always)
    private mutating func longVarint() -> UInt64 {
        let word = UnsafeRawPointer(self.cursor).littleEndian(UInt64.self, at: 0)
        let stops = ~word & 0x8080_8080_8080_8080
        let count = stops.trailingZeroBitCount &>> 3 &+ 1
        if stops == 0 || count > self.remaining { return self.longestVarint() }
        self.cursor += count
        // Keeps the bytes of the number, and closes the gaps between their groups of seven bits.
        var value = word & 0x7f7f_7f7f_7f7f_7f7f & (stops ^ (stops &- 1))
        value = (value & 0x007f_007f_007f_007f) | (value & 0x7f00_7f00_7f00_7f00) &>> 1
        value = (value & 0x0000_3fff_0000_3fff) | (value & 0x3fff_0000_3fff_0000) &>> 2
        return (value & 0x0fff_ffff) | (value &>> 32) &<< 28
    }

    @inline(never)
    private mutating func longestVarint() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while self.cursor < self.end {
            let byte = self.cursor.pointee
            self.cursor += 1
            if shift == 63, byte > 1 { break }
            value |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        self.isBroken = true
        self.cursor = self.end
        return 0
    }
}
