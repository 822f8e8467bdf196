/// Builds the small records of a segment: numbers little-endian or as varints, strings after their length.
struct RecordWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ byte: UInt8) {
        self.bytes.append(byte)
    }

    mutating func append<Number: FixedWidthInteger>(fixed value: Number) {
        withUnsafeBytes(of: value.littleEndian) { self.bytes.append(contentsOf: $0) }
    }

    /// Seven bits a byte, the lowest first, the top bit set on all but the last.
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            self.bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.bytes.append(UInt8(rest))
    }

    /// A signed number as a varint, small in magnitude first: 0, -1, 1, -2, …
    mutating func append(zigzag value: Int64) {
        self.append(varint: UInt64(bitPattern: value &<< 1 ^ value &>> 63))
    }

    mutating func append(text: String) {
        self.append(varint: UInt64(text.utf8.count))
        self.bytes.append(contentsOf: text.utf8)
    }

    mutating func append(bytes: [UInt8]) {
        self.bytes.append(contentsOf: bytes)
    }
}

/// Reads what ``RecordWriter`` wrote, checking every length before it is used.
///
/// A failed read gives zeros and sets ``hasFailed``, so that a record is checked once at its end.
struct RecordReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0
    private(set) var hasFailed = false

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remaining: Int { self.bytes.count - self.offset }

    mutating func fail() {
        self.hasFailed = true
        self.offset = self.bytes.count
    }

    mutating func byte() -> UInt8 {
        guard self.offset < self.bytes.count else {
            self.fail()
            return 0
        }
        defer { self.offset += 1 }
        return self.bytes[self.offset]
    }

    mutating func fixed<Number: FixedWidthInteger>(_ type: Number.Type) -> Number {
        guard self.remaining >= MemoryLayout<Number>.size else {
            self.fail()
            return 0
        }
        defer { self.offset += MemoryLayout<Number>.size }
        return Number(littleEndian: self.bytes.loadUnaligned(fromByteOffset: self.offset, as: type))
    }

    mutating func varint() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            let next = self.byte()
            if self.hasFailed { return 0 }
            if shift == 63, next > 1 { break }
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
            shift += 7
        }
        self.fail()
        return 0
    }

    /// A varint that must fit an `Int` and stay at or below `limit`.
    mutating func count(limit: Int = .max) -> Int {
        let value = self.varint()
        guard value <= UInt64(limit) else {
            self.fail()
            return 0
        }
        return Int(value)
    }

    mutating func zigzag() -> Int64 {
        let value = self.varint()
        return Int64(bitPattern: value &>> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func slice(_ count: Int) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= self.remaining else {
            self.fail()
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        defer { self.offset += count }
        return UnsafeRawBufferPointer(rebasing: self.bytes[self.offset..<self.offset + count])
    }

    /// A string of at most `limit` bytes of UTF-8.
    mutating func text(limit: Int) -> String {
        let bytes = self.slice(self.count(limit: limit))
        guard let text = String(validating: bytes, as: UTF8.self) else {
            self.fail()
            return ""
        }
        return text
    }
}
