import Foundation
import Testing
import TidelogTesting

/// How many places a test damages: TIDELOG_DAMAGES says it for a campaign.
enum Damages {
    static func count(_ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["TIDELOG_DAMAGES"].flatMap { Int($0) } ?? usual
    }
}

@Suite("Damaged logs")
struct DamageTests {
    /// A log with a sealed part and an active part, of which each test damages copies.
    private static func prepare(_ folder: TemporaryFolder) throws -> (log: String, lines: [String]) {
        let log = folder.path("whole")
        try Tool.succeed("init", log)
        let lines = try Sample.lines()
        try Tool.succeed("import", log, "-", "--batch", "100", input: lines[..<400].joined(separator: "\n"))
        try Tool.succeed("seal", log)
        try Tool.succeed("import", log, "-", "--batch", "37", input: lines[400...].joined(separator: "\n"))
        return (log, lines)
    }

    private static func copy(_ log: String, to copy: String) throws {
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: log, toPath: copy)
    }

    /// Reads a damaged log: no death by signal, no line that was not imported, none twice, in order; and none is
    /// missing where the read does not fail.
    ///
    /// - Parameter mayBeOlder: whether the damage may make an older commit look like the newest, which nothing
    ///   can tell: then the newest lines may be missing.
    private static func expectHonestRead(
        _ log: String, _ lines: [String], mayBeOlder: Bool = false, _ what: String
    ) throws {
        let arrivals = lines.filter { $0.contains(#""type":"flight.arrived""#) }
        let reads: [(options: [String], expected: [String])] = [
            ([], lines), (["--type", "flight.arrived", "--backwards"], arrivals.reversed()),
        ]
        for (options, expected) in reads {
            let read = try Tool.run(["read", log] + options)
            #expect(!read.wasKilled, "\(what), \(options): \(read.error)")
            #expect([0, 3].contains(read.status), "\(what), \(options): \(read.status) \(read.error)")
            #expect((read.status == 0) == read.error.isEmpty, "\(what), \(options): \(read.error)")
            #expect(read.output.isEmpty || read.output.hasSuffix("\n"), "\(what), \(options): whole lines")
            let found = read.lines.map(withoutPlace)
            var next = expected[...]
            for line in found {
                guard let place = next.firstIndex(of: line) else {
                    Issue.record("\(what), \(options): this was not imported, or not here: \(line)")
                    break
                }
                next = next[(place + 1)...]
            }
            guard read.status == 0 else { continue }
            let isWhole = found == expected
            let oldest = options.isEmpty ? expected.prefix(found.count) : expected.suffix(found.count)
            let isOlder = mayBeOlder && oldest.elementsEqual(found)
            #expect(isWhole || isOlder, "\(what), \(options): \(found.count) of \(expected.count)")
        }
    }

    @Test("a bit that flips in the head never ends read by a signal, makes a wrong event or leaves one out")
    func flippedBits() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            let head = try Data(contentsOf: folder.url("whole/head.mdb"))
            let seed = TestSeed.draw(for: "damage")
            var random = SeededGenerator(seed: seed)
            // The meta pages, and the rest evenly.
            let count = Damages.count(100)
            let part = (head.count - 8192) / count
            let offsets =
                (0..<count / 4).map { _ in random.below(8192) }
                + (0..<count).map { 8192 + part * $0 + random.below(part) }
            let damaged = folder.path("damaged")
            for offset in offsets {
                try Self.copy(log, to: damaged)
                var bytes = head
                let bit = random.below(8)
                bytes[offset] ^= 1 << UInt8(bit)
                try bytes.write(to: folder.url("damaged/head.mdb"), options: [])
                try Self.expectHonestRead(
                    damaged, lines, mayBeOlder: offset < 8192, "seed \(seed), byte \(offset), bit \(bit)")
            }
        }
    }

    @Test("a head that is cut short never ends the tool by a signal")
    func cutHead() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            let head = try Data(contentsOf: folder.url("whole/head.mdb"))
            let damaged = folder.path("damaged")
            for length in [0, 1, 4095, 4096, 8192, 12_288, head.count / 2, head.count - 4096, head.count - 1]
            {
                try Self.copy(log, to: damaged)
                try head[..<length].write(to: folder.url("damaged/head.mdb"))
                try Self.expectHonestRead(damaged, lines, "cut to \(length) of \(head.count)")
            }
        }
    }

    @Test("pages of a head that are overwritten never end the tool by a signal")
    func overwrittenPages() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            let head = try Data(contentsOf: folder.url("whole/head.mdb"))
            let damaged = folder.path("damaged")
            for page in stride(from: 0, to: head.count / 4096, by: max(1, head.count / 4096 / 24)) {
                try Self.copy(log, to: damaged)
                var bytes = head
                let byte: UInt8 = page % 2 == 0 ? 0xFF : 0
                bytes.replaceSubrange(
                    page * 4096..<(page + 1) * 4096, with: Data(repeating: byte, count: 4096))
                try bytes.write(to: folder.url("damaged/head.mdb"), options: [])
                try Self.expectHonestRead(damaged, lines, "page \(page) is \(byte)")
            }
        }
    }

    @Test("damage in a sealed file is named, and what is outside of it is still read")
    func sealedFile() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            let name = "00000000000000000000.mdb"
            let whole = try Data(contentsOf: folder.url("whole/segments/\(name)"))
            let damaged = folder.path("damaged")
            for offset in stride(from: 100, to: whole.count, by: whole.count / 9) {
                try Self.copy(log, to: damaged)
                let file = folder.url("damaged/segments/\(name)")
                try FileManager.default.removeItem(at: file)
                var bytes = whole
                bytes[offset] ^= 0x10
                try bytes.write(to: file)
                try Self.expectHonestRead(damaged, lines, "byte \(offset)")
                let read = try Tool.run(["read", damaged])
                // Or it is nothing that this read looks at; whoever checks the whole file finds it.
                if read.status != 0 {
                    let names = read.error.contains(name) && read.error.contains("positions ")
                    #expect(read.status == 3 && names, "byte \(offset): \(read.error)")
                }
                let verified = try Tool.run(["verify", damaged])
                #expect(verified.status == 1 && verified.output.contains(name), "byte \(offset)")
                let rest = try Tool.succeed("read", damaged, "--from", "400").lines.map(withoutPlace)
                #expect(rest == Array(lines[400...]))
            }
            try Self.copy(log, to: damaged)
            try FileManager.default.removeItem(at: folder.url("damaged/segments/\(name)"))
            #expect(try Tool.fail(3, "read", damaged).error.contains(name))
        }
    }

    @Test("what is no regular file where a file should be is refused")
    func symbolicLinks() throws {
        try TemporaryFolder.with { folder in
            let (log, _) = try Self.prepare(folder)
            let damaged = folder.path("damaged")
            for name in ["head.mdb", "segments/00000000000000000000.mdb"] {
                try Self.copy(log, to: damaged)
                try FileManager.default.removeItem(at: folder.url("damaged/\(name)"))
                try FileManager.default.createSymbolicLink(
                    atPath: folder.path("damaged/\(name)"), withDestinationPath: folder.path("whole/\(name)"))
                try Tool.fail(3, "read", damaged)
            }
        }
    }
}
