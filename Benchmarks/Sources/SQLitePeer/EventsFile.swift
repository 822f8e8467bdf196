public import Foundation

/// The events of an input file: a u32 length, little-endian, then that many bytes of JSON, and so on.
public struct EventsFile: Sequence, IteratorProtocol {
    private let bytes: Data
    private var offset = 0
    private var remaining: Int

    /// The first `limit` events of the file at `path`.
    public init(path: String, limit: Int = .max) throws {
        self.bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        self.remaining = limit
    }

    /// The next event, or nil at the end of the file.
    public mutating func next() -> Data? {
        guard self.remaining > 0, self.offset + 4 <= self.bytes.count else { return nil }
        let length = self.bytes.withUnsafeBytes {
            Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: self.offset, as: UInt32.self)))
        }
        guard length <= self.bytes.count - self.offset - 4 else { return nil }
        let start = self.bytes.startIndex + self.offset + 4
        self.offset += 4 + length
        self.remaining -= 1
        return self.bytes[start..<(start + length)]
    }
}
