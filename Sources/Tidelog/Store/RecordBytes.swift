package import TidelogStorage

/// Writes the parts of a record of the store: integers little-endian, texts with their length, four bytes, ahead.
package struct RecordWriter {
    private var fields = FieldWriter()

    package init() {}

    package var bytes: [UInt8] { self.fields.bytes }

    package mutating func write(_ value: some FixedWidthInteger) { self.fields.fixed(value) }

    package mutating func write(text: String) { self.write(field: Array(text.utf8)) }

    package mutating func write(field: [UInt8]) {
        self.fields.fixed(UInt32(field.count))
        self.fields.raw(field)
    }

    package mutating func write(rest: [UInt8]) { self.fields.raw(rest) }
}

/// Reads what ``RecordWriter`` wrote; what is missing is a typed error.
package struct RecordBytes {
    private var fields: FieldReader
    private let what: String

    package init(_ bytes: [UInt8], what: String) {
        self.fields = FieldReader(bytes, what: what)
        self.what = what
    }

    /// Whether everything was read.
    package var isAtEnd: Bool { self.fields.isAtEnd }

    /// Reads the byte that says how the rest is written.
    package mutating func requireVersion(_ version: UInt8) throws(StorageError) {
        let found = try self.fields.byte()
        guard found != version else { return }
        throw StorageError(
            .unsupportedFormat,
            "\(self.what) has format version \(found) and this build reads \(version); use a newer Tidelog")
    }

    package mutating func read<Integer: FixedWidthInteger>() throws(StorageError) -> Integer {
        try self.fields.fixed()
    }

    package mutating func readText() throws(StorageError) -> String {
        String(decoding: try self.readBytes(), as: UTF8.self)
    }

    package mutating func readField() throws(StorageError) -> [UInt8] { Array(try self.readBytes()) }

    package mutating func rest() -> [UInt8] { self.fields.rest() }

    private mutating func readBytes() throws(StorageError) -> ArraySlice<UInt8> {
        try self.fields.raw(Int(try self.fields.fixed() as UInt32))
    }
}
