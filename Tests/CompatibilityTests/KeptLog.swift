import Foundation
import SystemPackage
import Testing
import TidelogTesting
import torture

@testable import TidelogStorage

/// A log that an earlier build wrote, made again from the text of what its files held.
///
/// Every key and value is as it was written. LMDB's pages are new, and with them the length and the digests of
/// each sealed file, which the catalogue's records are told, by the offsets that `Docs/Format.md` gives.
enum KeptLog {
    static func make(from text: String, at path: FilePath) throws {
        let log = path.string
        try FileManager.default.createDirectory(atPath: log + "/segments", withIntermediateDirectories: true)
        var digests: [UInt64: (bytes: UInt64, digest: UInt64, pages: UInt64)] = [:]
        var head: TextDump?
        for part in ("\n" + text).components(separatedBy: "\n= ").dropFirst() {
            let lines = part.split(separator: "\n", maxSplits: 1)
            try #require(lines.count == 2)
            let (name, dump) = (String(lines[0]), try TextDump(parsing: String(lines[1])))
            if name == "head.mdb" {
                head = dump
            } else {
                let file = log + "/" + name
                try dump.write(to: file)
                let first = try #require(UInt64(name.dropFirst("segments/".count).prefix(20)))
                digests[first] = try Self.finish(file)
            }
        }
        var dump = try #require(head)
        let catalogue = try #require(dump.databases.firstIndex { $0.name == "segments" })
        for (index, entry) in dump.databases[catalogue].entries.enumerated() {
            let first = entry.key.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
            let file = try #require(digests[first])
            let key = entry.key
            // The checksum that this build would have written is the one that the earlier one wrote.
            #expect(
                HeadFormat.wrap(Array(entry.value[8...]), database: "segments", key: key) == entry.value)
            var record = Array(entry.value[8...])
            record.replaceSubrange(46..<54, with: Self.bytes(file.bytes))
            record.replaceSubrange(62..<70, with: Self.bytes(file.digest))
            record.replaceSubrange(90..<98, with: Self.bytes(file.pages))
            dump.databases[catalogue].entries[index].value =
                HeadFormat.wrap(record, database: "segments", key: key)
        }
        try dump.write(to: log + "/head.mdb")
    }

    /// Adds the table of pages to a sealed file.
    private static func finish(_ path: String) throws -> (bytes: UInt64, digest: UInt64, pages: UInt64) {
        let file = try Files.open(path, flags: O_RDWR)
        let pages = try SegmentPages.writeTable(descriptor: file.number, path: path)
        let bytes = try Files.status(descriptor: file.number, path: path).size
        let digest = try Files.digest(descriptor: file.number, length: bytes, path: path)
        try Files.setMode(descriptor: file.number, 0o400, path: path)
        return (UInt64(bytes), digest, pages)
    }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { [UInt8]($0) }
    }
}
