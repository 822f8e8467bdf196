// The two meta pages of an LMDB 0.9 file, read with plain reads and never through the map: so that a
// truncated or foreign file is found before anything is mapped, and so that what LMDB believes to be the
// newest transaction can be compared with what stands in the file.
//
// A page has a header of 16 bytes (page number 8, padding 2, flags 2, 4 more); on pages 0 and 1 follow, in
// the byte order of the machine: magic 4, version 4, address 8, map size 8, two database records of 48
// bytes (padding 4, which in the first is the page size; flags 2; depth 2; branch, leaf, overflow pages and
// entries, 8 each; root 8), last page 8, transaction id 8. The newer of the two counts.
import Glibc

/// What one meta page says.
struct MetaPage: Hashable, Sendable {
    static let byteCount = 152
    static let magic: UInt32 = 0xBEEF_C0DE
    static let version: UInt32 = 1
    private static let metaFlag: UInt16 = 0x08

    let pageSizeBytes: Int
    let mapSizeBytes: UInt64
    let freeRoot: UInt64
    let mainRoot: UInt64
    let lastPage: UInt64
    let transactionID: UInt64

    /// Reads a meta page; `bytes` holds at least ``byteCount`` of it.
    init(_ bytes: UnsafeRawBufferPointer, path: String) throws(StorageError) {
        func number<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) -> Number {
            bytes.loadUnaligned(fromByteOffset: offset, as: Number.self)
        }
        guard number(16, UInt32.self) == Self.magic, number(10, UInt16.self) & Self.metaFlag != 0 else {
            throw StorageError(.unsupportedFormat, "this is no LMDB file, or its head is damaged", path: path)
        }
        let version = number(20, UInt32.self)
        guard version == Self.version else {
            throw StorageError(
                .unsupportedFormat, "the file has LMDB's data version \(version); \(Self.version) is known",
                path: path)
        }
        let pageSize = Int(number(40, UInt32.self))
        guard pageSize >= 256, pageSize <= 65536, pageSize & (pageSize - 1) == 0 else {
            throw StorageError(.corrupted, "the meta page gives a page size of \(pageSize)", path: path)
        }
        self.pageSizeBytes = pageSize
        self.mapSizeBytes = number(32, UInt64.self)
        self.freeRoot = number(80, UInt64.self)
        self.mainRoot = number(128, UInt64.self)
        self.lastPage = number(136, UInt64.self)
        self.transactionID = number(144, UInt64.self)
    }

    /// The newer of the two meta pages of an open file.
    ///
    /// - Throws: ``StorageError`` with code `unsupportedFormat` if either page is no meta page, `corrupted`
    ///   if the file ends before both.
    static func newest(descriptor: Int32, path: String) throws(StorageError) -> MetaPage {
        let first = try Self.read(descriptor: descriptor, offset: 0, path: path)
        let second = try Self.read(descriptor: descriptor, offset: first.pageSizeBytes, path: path)
        return second.transactionID > first.transactionID ? second : first
    }

    private static func read(
        descriptor: Int32, offset: Int, path: String
    ) throws(StorageError) -> MetaPage {
        var space: InlineArray<152, UInt8> = .init(repeating: 0)
        var span = space.mutableSpan
        return try span.withUnsafeMutableBytes { buffer throws(StorageError) in
            let count = try Files.read(descriptor: descriptor, into: buffer, offset: offset, path: path)
            guard count == Self.byteCount else {
                throw StorageError(
                    .corrupted, "the file ends within its meta pages, after \(offset + count) bytes",
                    path: path)
            }
            return try MetaPage(UnsafeRawBufferPointer(buffer), path: path)
        }
    }
}
