import Testing
import TidelogStorage

@testable import Tidelog

/// A log that is damaged while it is open, for tests of several kinds.
enum DamagedSample {
    /// Flips bits in every page of the segment that holds a position, behind the log's back.
    private static func damage(_ log: EventLog, at position: UInt64) throws {
        let segments = try log.engine.currentView().catalogue.segments
        let segment = try #require(segments.first { $0.positions.contains(position) })
        let path = "\(log.directory)/segments/\(segment.fileName)"
        var bytes = try Files.contents(path)
        _ = try Files.unlink(path)
        for at in stride(from: 300, to: bytes.count, by: 512) { bytes[at] ^= 1 }
        try Files.writeAtomically(bytes, to: path)
    }

    /// A log whose second segment, with the events numbered from 60 to 119, is damaged while the log is open.
    static func log(
        _ open: (EventLogConfiguration) async throws -> EventLog, _ event: (Int) -> Event
    ) async throws -> EventLog {
        var configuration = EventLogConfiguration()
        configuration.openSegments = 1
        configuration.cachedFrames = 1
        configuration.streamCacheBytes = 0
        let log = try await open(configuration)
        for start in [0, 60] {
            try await log.append((start..<start + 60).map(event))
            try await log.seal()
        }
        // The window of ids knows them; then the other segment is opened and this one closed.
        try await log.append((60..<120).map(event))
        try await log.append((0..<60).map(event))
        try Self.damage(log, at: 60)
        return log
    }
}
