import Foundation
import SystemPackage
import Testing
import Tidelog
import TidelogTesting

@Suite("Opening a log")
struct OpeningTests {
    private static var configuration: EventLogConfiguration {
        var configuration = EventLogConfiguration()
        configuration.segmentSizeBytes = 32 << 10
        configuration.blockSizeBytes = 4 << 10
        configuration.sealsInBackground = false
        // What is sealed is beyond the window, so that appending does not need it.
        configuration.idempotenceWindow = 10
        return configuration
    }

    /// Root in a container may be without the right to mount.
    private static let mayMount: Bool = {
        guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        defer { directory.remove() }
        guard mount("tmpfs", directory.path.string, "tmpfs", 0, "size=1m") == 0 else { return false }
        return umount2(directory.path.string, 2 /* MNT_DETACH */) == 0
    }()

    /// Makes a log with three segments and an active one, 100 events each, and closes it.
    private static func withLog(
        _ body: (_ directory: FilePath, _ segments: [Segment]) async throws -> Void
    ) async throws {
        try await withTemporaryLog { directory, open in
            let log = try await open(Self.configuration)
            var generator = EventGenerator(seed: 11)
            var segments: [Segment] = []
            for _ in 0..<3 {
                try await log.append(generator.events(100))
                segments += try await log.seal()
            }
            try await log.append(generator.events(100))
            await log.close()
            #expect(segments.count == 3)
            try await body(directory, segments)
        }
    }

    @discardableResult
    private func refused(
        _ codes: Set<EventLogError.Code>, at path: FilePath,
        _ configuration: EventLogConfiguration = Self.configuration,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> EventLogError? {
        do {
            let log = try await EventLog.open(at: path, configuration: configuration)
            await log.close()
            Issue.record("the log was opened", sourceLocation: sourceLocation)
            return nil
        } catch {
            #expect(codes.contains(error.code), "\(error)", sourceLocation: sourceLocation)
            #expect(error.path?.hasPrefix(path.string) == true, "\(error)", sourceLocation: sourceLocation)
            #expect(error.message.count > 20, sourceLocation: sourceLocation)
            return error
        }
    }

    @Test("an empty directory becomes a log; without leave to create it is refused and stays empty")
    func emptyDirectory() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var configuration = Self.configuration
        configuration.createsIfMissing = false
        try await self.refused([.notFound], at: directory.path, configuration)
        configuration.mode = .readOnly
        try await self.refused([.notFound], at: directory.path, configuration)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path.string)
        #expect(names.allSatisfy { $0 == "open.lock" }, "\(names)")
        let log = try await EventLog.open(at: directory.path, configuration: Self.configuration)
        try await log.append(Event(type: "first"))
        #expect(try await log.count() == 1)
        await log.close()
    }

    @Test("a file, a missing parent or an empty path instead of a directory is a typed error")
    func noDirectory() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let file = directory.path.appending("file")
        try Data("hello".utf8).write(to: URL(fileURLWithPath: file.string))
        try await self.refused([.invalidArgument, .alreadyExists], at: file)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file.string)) == Data("hello".utf8))
        try await self.refused([.notFound], at: directory.path.appending("no/such/parent"))
        await #expect(throws: EventLogError.self) {
            try await EventLog.open(at: "", configuration: Self.configuration)
        }
    }

    @Test(
        "a file system that cannot be written is refused by name",
        .enabled(if: Self.mayMount, "mounting a small file system needs root"))
    func readOnlyFileSystem() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        try #require(mount("tmpfs", directory.path.string, "tmpfs", 0, "size=1m") == 0)
        defer { umount2(directory.path.string, 2 /* MNT_DETACH */) }
        let flags = UInt(32 | 1)  // MS_REMOUNT, MS_RDONLY
        try #require(mount("tmpfs", directory.path.string, "tmpfs", flags, nil) == 0)
        try await self.refused([.permissionDenied], at: directory.path.appending("log.tidelog"))
        try await self.refused([.permissionDenied], at: directory.path)
    }

    @Test(
        "a symbolic link where a file of the log belongs is not followed",
        arguments: ["head.mdb", "head.mdb-lock", "open.lock", "maintenance.lock"])
    func symbolicLinks(name: String) async throws {
        try await Self.withLog { directory, _ in
            let victim = directory.removingLastComponent().appending("victim")
            let file = directory.appending(name)
            if FileManager.default.fileExists(atPath: file.string) {
                try FileManager.default.moveItem(atPath: file.string, toPath: victim.string)
            } else {
                try Data("precious".utf8).write(to: URL(fileURLWithPath: victim.string))
            }
            let before = try Data(contentsOf: URL(fileURLWithPath: victim.string))
            try FileManager.default.createSymbolicLink(
                atPath: file.string, withDestinationPath: victim.string)
            try await self.refused([.permissionDenied], at: directory)
            #expect(try Data(contentsOf: URL(fileURLWithPath: victim.string)) == before)
        }
    }

    @Test("a symbolic link in place of the directory of segments is refused, for reading and for writing")
    func linkedSegments() async throws {
        try await Self.withLog { directory, segments in
            let folder = directory.appending("segments").string
            let moved = directory.removingLastComponent().appending("moved").string
            try FileManager.default.moveItem(atPath: folder, toPath: moved)
            try FileManager.default.createSymbolicLink(atPath: folder, withDestinationPath: moved)
            for mode in [EventLogConfiguration.Mode.readWrite, .readOnly] {
                var configuration = Self.configuration
                configuration.mode = mode
                let error = try await self.refused([.permissionDenied], at: directory, configuration)
                #expect(error?.path == folder)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: moved)
            #expect(names.sorted() == segments.map(\.fileName).sorted())
            // Nor is a log made whose segments would go elsewhere.
            let empty = directory.removingLastComponent().appending("empty")
            try FileManager.default.createDirectory(atPath: empty.string, withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(
                atPath: empty.appending("segments").string, withDestinationPath: moved)
            try await self.refused([.permissionDenied], at: empty)
            #expect(!FileManager.default.fileExists(atPath: empty.appending("head.mdb").string))
        }
    }

    @Test("a symbolic link in place of the file that tells of members refuses consumers, and the log goes on")
    func linkedMembers() async throws {
        try await Self.withLog { directory, _ in
            let victim = directory.removingLastComponent().appending("victim").string
            try Data("precious".utf8).write(to: URL(fileURLWithPath: victim))
            let file = directory.appending("members.lock").string
            try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: victim)
            let log = try await EventLog.open(at: directory, configuration: Self.configuration)
            let error = await #expect(throws: EventLogError.self) { _ = try await log.consumer("c") }
            #expect(error?.code == .permissionDenied)
            #expect(error?.path == file)
            #expect(try Data(contentsOf: URL(fileURLWithPath: victim)) == Data("precious".utf8))
            try await log.append(Event(type: "after"))
            #expect(try await log.count() == 401)
            await log.close()
        }
    }

    @Test("a head that is cut short is refused before it is mapped, wherever it is cut")
    func truncatedHead() async throws {
        try await Self.withLog { directory, _ in
            let head = directory.appending("head.mdb").string
            let whole = try Data(contentsOf: URL(fileURLWithPath: head))
            for size in [0, 1, 100, 4095, 4096, 8191, 8192, 12_288, 16_384, 20_480] where size < whole.count {
                try whole.prefix(size).write(to: URL(fileURLWithPath: head))
                try await self.refused([.corrupted, .unsupportedFormat], at: directory)
            }
            try whole.write(to: URL(fileURLWithPath: head))
            let log = try await EventLog.open(at: directory, configuration: Self.configuration)
            #expect(try await log.count() == 400)
            await log.close()
        }
    }

    @Test("a head of another kind is refused, and so is a missing one where segments are")
    func foreignHead() async throws {
        try await Self.withLog { directory, _ in
            let head = directory.appending("head.mdb").string
            let junk = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try junk.write(to: URL(fileURLWithPath: head))
            try await self.refused([.unsupportedFormat], at: directory)
            #expect(try Data(contentsOf: URL(fileURLWithPath: head)) == junk)
            try FileManager.default.removeItem(atPath: head)
            let error = try await self.refused([.corrupted, .notFound], at: directory)
            #expect(error?.message.contains("repair") == true)
        }
    }

    @Test(
        "a segment that is missing, cut, lengthened, flipped or a link is a typed error, the rest is there",
        arguments: ["missing", "empty", "cut", "lengthened", "flipped", "link", "swapped", "directory"])
    func damagedSegment(kind: String) async throws {
        try await Self.withLog { directory, segments in
            let folder = directory.appending("segments")
            let file = folder.appending(segments[1].fileName)
            let url = URL(fileURLWithPath: file.string)
            let whole = try Data(contentsOf: url)
            chmod(file.string, 0o600)
            switch kind {
            case "missing": try FileManager.default.removeItem(at: url)
            case "empty": try Data().write(to: url)
            case "cut": try whole.prefix(whole.count / 2).write(to: url)
            case "lengthened": try (whole + Data(count: 4096)).write(to: url)
            case "flipped":
                var bytes = whole
                bytes[bytes.count / 3] ^= 4
                try bytes.write(to: url)
            case "link":
                let moved = directory.removingLastComponent().appending("moved").string
                try FileManager.default.moveItem(atPath: file.string, toPath: moved)
                try FileManager.default.createSymbolicLink(atPath: file.string, withDestinationPath: moved)
            case "swapped":
                try Data(
                    contentsOf: URL(fileURLWithPath: folder.appending(segments[0].fileName).string)
                ).write(to: url)
            default:
                try FileManager.default.removeItem(at: url)
                try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
            }
            // Opening does not read segments, so it succeeds.
            let log = try await EventLog.open(at: directory, configuration: Self.configuration)
            let codes: Set<EventLogError.Code> = [
                .corrupted, .notFound, .permissionDenied, .unsupportedFormat,
            ]
            for query in [EventQuery.all, .types("none.such"), .stream("item-1")] {
                var read = 0
                do {
                    for try await _ in log.read(query) { read += 1 }
                    Issue.record("\(kind): the damaged segment was read as if whole")
                } catch let error as EventLogError {
                    #expect(codes.contains(error.code), "\(error)")
                    #expect(error.path == file.string, "\(error)")
                }
                #expect(read <= 100)
            }
            do {
                _ = try await log.event(at: 150)
                Issue.record("\(kind): an event of the damaged segment was read")
            } catch let error as EventLogError {
                #expect(codes.contains(error.code), "\(error)")
            }
            var query = EventQuery.all
            query.to = 100
            #expect(try await log.count(query) == 100)
            query.to = nil
            query.from = 200
            #expect(try await log.count(query) == 200)
            #expect(try await log.event(at: 99) != nil)
            #expect(try await log.event(at: 399) != nil)
            // Appending, sealing what is new, and closing go on.
            try await log.append(Event(type: "after", stream: "after"))
            try await log.seal()
            #expect(try await log.event(at: 400)?.type == "after")
            await log.close()
        }
    }

    @Test("one log is open once in a process, by whatever path; after closing it can be opened again")
    func twice() async throws {
        try await Self.withLog { directory, _ in
            let log = try await EventLog.open(at: directory, configuration: Self.configuration)
            let error = try await self.refused([.locked], at: directory)
            #expect(error?.message.isEmpty == false)
            let alias = directory.removingLastComponent().appending("alias")
            try FileManager.default.createSymbolicLink(
                atPath: alias.string, withDestinationPath: directory.string)
            let second = await #expect(throws: EventLogError.self) {
                _ = try await EventLog.open(at: alias, configuration: Self.configuration)
            }
            #expect(second?.code == .locked)
            try await log.append(Event(type: "still.works"))
            await log.close()
            let again = try await EventLog.open(at: directory, configuration: Self.configuration)
            #expect(try await again.count() == 401)
            await again.close()
        }
    }

    @Test("opened for reading only, every change is refused and every read works")
    func readOnly() async throws {
        try await Self.withLog { directory, _ in
            var configuration = Self.configuration
            configuration.mode = .readOnly
            let log = try await EventLog.open(at: directory, configuration: configuration)
            #expect(try await log.count() == 400)
            #expect(try await log.event(at: 399) != nil)
            let changes: [(EventLog) async throws -> Void] = [
                { _ = try await $0.append(Event(type: "x")) }, { _ = try await $0.seal() },
                { _ = try await $0.compact() }, { _ = try await $0.retain(.init()) },
                { try await $0.truncate(stream: "item-1", before: 0) },
                { try await $0.delete(stream: "item-1") },
            ]
            for change in changes {
                let error = await #expect(throws: EventLogError.self) { try await change(log) }
                #expect(error?.code == .permissionDenied, "\(error as Any)")
            }
            await log.close()
        }
    }
}
