package import TidelogStorage

/// Writes the parts of a record of the head: integers little-endian, texts with their length ahead.
package struct RecordWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func write<Integer: FixedWidthInteger>(_ value: Integer) {
        withUnsafeBytes(of: value.littleEndian) { self.bytes.append(contentsOf: $0) }
    }

    package mutating func write(text: String) { self.write(field: Array(text.utf8)) }

    package mutating func write(field: [UInt8]) {
        self.write(UInt32(field.count))
        self.bytes.append(contentsOf: field)
    }

    package mutating func write(rest: [UInt8]) { self.bytes.append(contentsOf: rest) }
}

/// Reads what ``RecordWriter`` wrote; what is missing is a typed error.
package struct RecordBytes {
    private let bytes: [UInt8]
    private var offset = 0
    private let what: String

    package init(_ bytes: [UInt8], what: String) {
        self.bytes = bytes
        self.what = what
    }

    /// Reads the byte that says how the rest is written.
    package mutating func requireVersion(_ version: UInt8) throws(StorageError) {
        let found: UInt8 = try self.read()
        guard found != version else { return }
        throw StorageError(
            .unsupportedFormat,
            "\(self.what) has format version \(found) and this build reads \(version); use a newer Tidelog")
    }

    package mutating func read<Integer: FixedWidthInteger>() throws(StorageError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard self.bytes.count - self.offset >= size else { throw self.damage() }
        defer { self.offset += size }
        let offset = self.offset
        return self.bytes.withUnsafeBytes {
            Integer(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Integer.self))
        }
    }

    package mutating func readText() throws(StorageError) -> String {
        String(decoding: try self.readField(), as: UTF8.self)
    }

    package mutating func readField() throws(StorageError) -> [UInt8] {
        let count = Int(try self.read() as UInt32)
        guard self.bytes.count - self.offset >= count else { throw self.damage() }
        defer { self.offset += count }
        return Array(self.bytes[self.offset..<self.offset + count])
    }

    package mutating func rest() -> [UInt8] {
        defer { self.offset = self.bytes.count }
        return Array(self.bytes[self.offset...])
    }

    private func damage() -> StorageError {
        StorageError(.corrupted, "\(self.what) is cut short at byte \(self.offset) of \(self.bytes.count)")
    }
}
