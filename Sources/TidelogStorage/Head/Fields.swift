/// Writes a value of the head: numbers little-endian or as varints, and texts with their length before them.
package struct FieldWriter {
    /// What was written.
    package private(set) var bytes: [UInt8] = []

    /// Nothing yet.
    package init() {}

    /// Seven bits a byte, the lowest first, the top bit set on all but the last.
    package mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            self.bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        self.bytes.append(UInt8(value))
    }

    /// A varint; not for what is negative.
    package mutating func varint(_ value: Int) { self.varint(UInt64(value)) }

    /// One byte.
    package mutating func byte(_ value: UInt8) { self.bytes.append(value) }

    /// All bytes of a number, the lowest first.
    @inlinable package mutating func fixed<Number: FixedWidthInteger>(_ value: Number) {
        self.littleEndian(UInt64(truncatingIfNeeded: value), count: MemoryLayout<Number>.size)
    }

    /// The lowest `count` bytes of a number, at most eight.
    package mutating func littleEndian(_ value: UInt64, count: Int) {
        withUnsafeBytes(of: value.littleEndian) { self.bytes.append(contentsOf: $0.prefix(count)) }
    }

    /// Bytes as they are.
    package mutating func raw(_ bytes: [UInt8]) { self.bytes.append(contentsOf: bytes) }

    /// A text, its length as a varint before it.
    package mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            self.varint(bytes.count)
            self.bytes.append(contentsOf: bytes)
        }
    }

    /// A text that may be missing: a byte that says whether it is there, and the text.
    package mutating func optionalText(_ text: String?) {
        self.byte(text == nil ? 0 : 1)
        if let text { self.text(text) }
    }
}

/// Reads what ``FieldWriter`` wrote; what is missing or out of range is a typed error.
package struct FieldReader {
    private let bytes: [UInt8]
    private var offset = 0
    private let what: String

    /// - Parameter what: names the value in errors.
    package init(_ bytes: [UInt8], what: String) {
        self.bytes = bytes
        self.what = what
    }

    /// Whether everything was read.
    package var isAtEnd: Bool { self.offset == self.bytes.count }

    private var remaining: Int { self.bytes.count - self.offset }

    /// A varint.
    package mutating func varint() throws(StorageError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while self.offset < self.bytes.count, shift < 64 {
            let byte = self.bytes[self.offset]
            self.offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw self.damage()
    }

    /// A number of things that follow, each of at least one byte.
    package mutating func count() throws(StorageError) -> Int {
        let value = try self.varint()
        guard value <= UInt64(self.remaining) else { throw self.damage() }
        return Int(value)
    }

    /// A varint that is an `Int`.
    package mutating func int() throws(StorageError) -> Int {
        guard let value = Int(exactly: try self.varint()) else { throw self.damage() }
        return value
    }

    /// One byte.
    package mutating func byte() throws(StorageError) -> UInt8 {
        guard self.offset < self.bytes.count else { throw self.damage() }
        defer { self.offset += 1 }
        return self.bytes[self.offset]
    }

    /// A number of which all bytes were written.
    @inlinable package mutating func fixed<Number: FixedWidthInteger>() throws(StorageError) -> Number {
        Number(truncatingIfNeeded: try self.littleEndian(MemoryLayout<Number>.size))
    }

    /// A number of `count` bytes, at most eight, the lowest first.
    package mutating func littleEndian(_ count: Int) throws(StorageError) -> UInt64 {
        try self.raw(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// So many bytes as they are.
    package mutating func raw(_ count: Int) throws(StorageError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= self.remaining else { throw self.damage() }
        defer { self.offset += count }
        return self.bytes[self.offset..<self.offset + count]
    }

    /// All that is left.
    package mutating func rest() -> [UInt8] {
        defer { self.offset = self.bytes.count }
        return Array(self.bytes[self.offset...])
    }

    /// A text behind its length.
    package mutating func text() throws(StorageError) -> String {
        String(decoding: try self.raw(try self.count()), as: UTF8.self)
    }

    /// A text that may be missing.
    package mutating func optionalText() throws(StorageError) -> String? {
        try self.byte() == 0 ? nil : try self.text()
    }

    /// The error of a value that does not hold together here.
    package func damage() -> StorageError {
        StorageError(
            .corrupted,
            "\(self.what) cannot be read at byte \(self.offset) of \(self.bytes.count); run "
                + "`tidelog verify`")
    }
}
