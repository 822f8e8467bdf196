import Testing
import TidelogStorage

@testable import Tidelog

@Suite("The parts that a consumer reads ahead")
struct ReadAheadPartsTests {
    /// Reads ten events at a time of a hundred, and notes where each reading began.
    private final class Source: Sendable {
        let starts = Lock<[UInt64]>([])

        func read(_ start: UInt64) throws(EventLogError) -> Reading {
            self.starts.withLock { $0.append(start) }
            if start == 70 { throw EventLogError(.inputOutput, "it cannot be read") }
            let end = min(start + 10, 100)
            let records = (start..<end).map {
                PlacedRecord(
                    position: $0, revision: nil,
                    record: EventRecord(id: .text("\($0)"), type: "t", timestamp: 0))
            }
            return Reading(records: records, keys: records.map { UInt32($0.position) }, from: start, to: end)
        }
    }

    private static func positions(_ reading: Reading?) -> [UInt64] { reading?.records.map(\.position) ?? [] }

    @Test("are two, follow each other, and are read once")
    func parts() async {
        let source = Source()
        var ahead = ReadAhead()
        #expect(await ahead.next(from: 0)?.0.records == nil)
        for start in stride(from: UInt64(0), to: 60, by: 10) {
            ahead.fill(from: start) { start throws(EventLogError) in try source.read(start) }
            #expect(Self.positions(await ahead.next(from: start)?.0) == Array(start..<start + 10))
        }
        _ = await ahead.next(from: 60)
        #expect(source.starts.withLock { $0 } == [0, 10, 20, 30, 40, 50, 60])
    }

    @Test("go on with the rest of one that was too much, with its keys")
    func rest() async throws {
        let source = Source()
        var ahead = ReadAhead()
        ahead.fill(from: 0) { start throws(EventLogError) in try source.read(start) }
        var (first, began) = try #require(await ahead.next(from: 0))
        let part = first.split(at: 4)
        let rest = try #require(part)
        let more = first.split(at: 4)
        #expect(more?.records == nil)
        #expect(first.to == 4 && rest.from == 4 && rest.to == 10)
        #expect(first.keys == Array(0..<4) && rest.keys == Array(4..<10))
        ahead.putBack(rest, began: began)
        #expect(Self.positions(await ahead.next(from: 4)?.0) == Array(4..<10))
        #expect(Self.positions(await ahead.next(from: 10)?.0) == Array(10..<20))
    }

    @Test("are let go of where something else is asked for, nothing more is there, or reading failed")
    func others() async {
        let source = Source()
        for (start, asked) in [(UInt64(0), UInt64(5)), (70, 70), (100, 100)] {
            var ahead = ReadAhead()
            ahead.fill(from: start) { start throws(EventLogError) in try source.read(start) }
            #expect(await ahead.next(from: asked)?.0.records == nil)
            // Nothing is left of them.
            #expect(await ahead.next(from: start)?.0.records == nil)
        }
        var ahead = ReadAhead()
        ahead.fill(from: 60) { start throws(EventLogError) in try source.read(start) }
        #expect(Self.positions(await ahead.next(from: 60)?.0) == Array(60..<70))
        #expect(await ahead.next(from: 70)?.0.records == nil)
    }
}
