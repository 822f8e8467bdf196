import Logging
import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("The warning of a faulty library")
struct LibraryWarningTests {
    @Test("goes to the logger once, with the version and what to use, and only where the version has a fault")
    func once() throws {
        let events = Seen<LogEvent>()
        let logger = Logger(label: "test") { _ in LogRecorder(events) }
        let warning = LibraryWarning()
        for version in [LMDBVersion.tested, LMDBVersion(0, 9, 25), LMDBVersion(0, 9, 32)] {
            warning.give(to: logger, about: version)
        }
        #expect(events.count == 0)
        for _ in 0..<3 { warning.give(to: logger, about: LMDBVersion(0, 9, 29)) }
        #expect(events.count == 1)
        let event = try #require(events.values.first)
        #expect(event.level == .warning)
        #expect(event.message.description.contains("0.9.29"))
        #expect(event.message.description.contains("use 0.9.24"))
        #expect(event.metadata?["tidelog.lmdb.version"]?.description == "0.9.29")
    }

    @Test("is given when a log is opened, to the logger of its configuration, if this process has reason to")
    func opening() async throws {
        let events = Seen<LogEvent>()
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.logger = Logger(label: "test") { _ in LogRecorder(events) }
            let log = try await open(configuration)
            await log.close()
        }
        let warnings = events.values.filter { $0.level == .warning }
        if LMDBVersion.linked.isSupported { #expect(warnings.isEmpty) }
        #expect(warnings.allSatisfy { $0.message.description == LMDBVersion.linked.warning })
    }
}
