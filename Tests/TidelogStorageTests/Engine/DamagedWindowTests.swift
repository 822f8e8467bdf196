import Glibc
import Testing

@testable import TidelogStorage

@Suite("A damaged segment within the idempotence window")
struct DamagedWindowTests {
    let scratch = EngineScratch()

    enum Damage: CaseIterable { case missing, cut, flipped }

    /// A log with the events 0 to 59 in one segment, 60 to 119 in another, 120 to 129 in the head; the second
    /// segment's path.
    private func fill(_ engine: LogEngine) throws -> String {
        for start in [0, 60] {
            _ = try engine.appendBlocking(EngineScratch.records(start..<start + 60))
            _ = try engine.seal()
        }
        _ = try engine.appendBlocking(EngineScratch.records(120..<130))
        let segments = try engine.currentView().catalogue.segments
        let second = try #require(segments.first { $0.positions.contains(60) })
        return "\(self.scratch.directory)/segments/\(second.fileName)"
    }

    private func damage(_ path: String, _ damage: Damage) throws {
        var bytes = try Files.contents(path)
        _ = try Files.unlink(path, ignoringMissing: false)
        switch damage {
        case .missing: return
        case .cut: bytes.removeLast(bytes.count / 2)
        // In every page, for only what is read of a file is checked.
        case .flipped: for at in stride(from: 300, to: bytes.count, by: 512) { bytes[at] ^= 1 }
        }
        try Files.writeAtomically(bytes, to: path)
    }

    @Test(
        "stops no append of other events, and repeats that can be known are known", arguments: Damage.allCases
    )
    func afterOpening(damage: Damage) throws {
        let engine = try self.scratch.open()
        let path = try self.fill(engine)
        engine.close()
        try self.damage(path, damage)

        let again = try self.scratch.open()
        for count in [1, 60] {
            let first = 1000 + count * 100
            let outcome = try again.appendBlocking(EngineScratch.records(first..<first + count))
            #expect(!outcome.isRepeat)
            #expect(try again.appendBlocking(EngineScratch.records(first..<first + count)).isRepeat)
        }
        for numbers in [0..<60, 120..<130] {
            let outcome = try again.appendBlocking(EngineScratch.records(numbers))
            #expect(outcome.isRepeat)
            #expect(outcome.firstPosition == UInt64(numbers.lowerBound))
            #expect(outcome.lastRevisions == [UInt64(numbers.upperBound - 1)])
        }
        again.close()
    }

    @Test(
        "refuses an id that is known to be in it, alone, and does not stop the writer",
        arguments: Damage.allCases)
    func whileOpen(damage: Damage) async throws {
        var options = self.scratch.options
        options.openSegments = 1
        options.cachedFrames = 1
        let engine = try self.scratch.open(options)
        let path = try self.fill(engine)
        // The window knows the ids; then the segment is closed and its file damaged.
        #expect(try engine.appendBlocking(EngineScratch.records(60..<120)).isRepeat)
        #expect(try engine.appendBlocking(EngineScratch.records(0..<60)).isRepeat)
        try self.damage(path, damage)

        let end = try engine.currentView().end
        for numbers in [60..<120, 70..<71, 119..<122] {
            let error = expectError(.corrupted) {
                _ = try engine.appendBlocking(EngineScratch.records(numbers))
            }
            #expect(error?.message.contains("repair") == true)
        }
        #expect(try engine.currentView().end == end)
        #expect(engine.writer?.failure == nil)
        let outcome = try engine.appendBlocking(EngineScratch.records(2000..<2001))
        #expect(outcome.firstPosition == end)
        #expect(try engine.appendBlocking(EngineScratch.records(0..<60)).isRepeat)
        engine.close()
    }
}
