import TidelogStorage

/// Writes a record of the head: varints, eight-byte numbers, and texts with their length before them.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            self.bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        self.bytes.append(UInt8(value))
    }

    mutating func varint(_ value: Int) { self.varint(UInt64(value)) }

    mutating func byte(_ value: UInt8) { self.bytes.append(value) }

    mutating func fixed<Number: FixedWidthInteger>(_ value: Number) {
        withUnsafeBytes(of: value.littleEndian) { self.bytes.append(contentsOf: $0) }
    }

    mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            self.varint(bytes.count)
            self.bytes.append(contentsOf: bytes)
        }
    }

    /// A text that may be missing: its length and one, or zero.
    mutating func optionalText(_ text: String?) {
        self.byte(text == nil ? 0 : 1)
        if let text { self.text(text) }
    }
}

/// Reads what ``FieldWriter`` wrote; what is missing or out of range is a typed error.
struct FieldReader {
    private let bytes: [UInt8]
    private var offset = 0
    private let what: String

    init(_ bytes: [UInt8], what: String) {
        self.bytes = bytes
        self.what = what
    }

    var isAtEnd: Bool { self.offset == self.bytes.count }

    mutating func varint() throws(StorageError) -> UInt64 {
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
    mutating func count() throws(StorageError) -> Int {
        let value = try self.varint()
        guard value <= UInt64(self.bytes.count - self.offset) else { throw self.damage() }
        return Int(value)
    }

    mutating func int() throws(StorageError) -> Int {
        guard let value = Int(exactly: try self.varint()) else { throw self.damage() }
        return value
    }

    mutating func byte() throws(StorageError) -> UInt8 {
        guard self.offset < self.bytes.count else { throw self.damage() }
        defer { self.offset += 1 }
        return self.bytes[self.offset]
    }

    mutating func fixed<Number: FixedWidthInteger>() throws(StorageError) -> Number {
        let size = MemoryLayout<Number>.size
        guard self.bytes.count - self.offset >= size else { throw self.damage() }
        defer { self.offset += size }
        let offset = self.offset
        return self.bytes.withUnsafeBytes {
            Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self))
        }
    }

    mutating func text() throws(StorageError) -> String {
        let count = try self.varint()
        guard count <= UInt64(self.bytes.count - self.offset) else { throw self.damage() }
        defer { self.offset += Int(count) }
        return String(decoding: self.bytes[self.offset..<self.offset + Int(count)], as: UTF8.self)
    }

    mutating func optionalText() throws(StorageError) -> String? {
        try self.byte() == 0 ? nil : try self.text()
    }

    func damage() -> StorageError {
        StorageError(
            .corrupted,
            "\(self.what) cannot be read at byte \(self.offset) of \(self.bytes.count); run "
                + "`tidelog verify`")
    }
}
