import Testing
import Tidelog
import TidelogTesting

/// A log whose map has no room left, for tests of several kinds. Sealing makes room.
enum FullSample {
    /// A log that holds `events` and has been filled up behind them; with bytes that do not compress and for
    /// which there is no room.
    static func log(
        _ open: (EventLogConfiguration) async throws -> EventLog, holding events: [Event]
    ) async throws -> (log: EventLog, bytes: [UInt8]) {
        var configuration = EventLogConfiguration()
        configuration.headMapSizeBytes = 4 << 20
        configuration.reserveBytes = 1 << 20
        configuration.segmentSizeBytes = 256 << 10
        configuration.sealsInBackground = false
        let log = try await open(configuration)
        try await log.append(events)
        var random = SeededGenerator(seed: 7)
        let bytes = (0..<40_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        await expectCode(.storageFull) {
            while true { try await log.append(Event(type: "fill", bytes: bytes)) }
        }
        return (log, bytes)
    }
}
