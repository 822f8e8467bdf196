import Testing
import Tidelog
import TidelogTesting

@Suite("Every bus")
struct BusConformanceTests {
    @Test("the in-memory bus with synchronous dispatch", arguments: BusConformance.promises)
    func synchronous(promise: BusConformance.Promise) async throws {
        try await BusConformance { InMemoryBus() }.check(promise)
    }

    @Test("the in-memory bus with asynchronous dispatch", arguments: BusConformance.promises)
    func asynchronous(promise: BusConformance.Promise) async throws {
        try await BusConformance { try InMemoryBus(dispatch: .asynchronous(size: 16)) }.check(promise)
    }

    @Test("the bus that delivers nothing", arguments: BusConformance.promises)
    func noop(promise: BusConformance.Promise) async throws {
        var suite = BusConformance { NoopBus() }
        suite.delivers = false
        try await suite.check(promise)
    }

    @Test("the bus that records", arguments: BusConformance.promises)
    func recording(promise: BusConformance.Promise) async throws {
        try await BusConformance { RecordingBus() }.check(promise)
    }

    @Test("the bus on a log", arguments: BusConformance.promises)
    func onLog(promise: BusConformance.Promise) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await BusConformance { LogBus(log) }.check(promise)
            await log.close()
        }
    }
}
