import Testing

@testable import TidelogStorage

@Suite("A read while the log changes")
struct ScanRaceTests {
    let scratch = EngineScratch()

    private enum Change: CaseIterable { case seal, compact, retain, append }

    private static func apply(_ change: Change, _ engine: LogEngine) throws(StorageError) {
        switch change {
        case .seal: _ = try engine.seal()
        case .compact:
            _ = try engine.seal()
            _ = try engine.compact(CompactionPolicy())
        case .retain:
            _ = try engine.seal()
            var limits = RetentionLimits()
            limits.keepFrom = 0
            limits.maximumAge = 0
            _ = try engine.retain(limits)
        case .append: _ = try engine.appendBlocking([EngineScratch.record(5000)])
        }
    }

    private static let filters: [RecordFilter] = {
        var byStream = RecordFilter()
        byStream.streams = ["s"]
        var byStreams = RecordFilter()
        byStreams.streams = ["s", "other"]
        var byType = RecordFilter()
        byType.types = .init { $0 == "rare" }
        var byCorrelation = RecordFilter()
        byCorrelation.correlation = .text("c")
        return [RecordFilter(), byStream, byStreams, byType, byCorrelation]
    }()

    @Test(
        "sees each event once and in order, wherever in it the log is sealed, compacted or appended to",
        arguments: [false, true])
    func changeInTheMiddle(isBackwards: Bool) throws {
        for change in Change.allCases {
            for (number, filter) in Self.filters.enumerated() {
                for frame in 0..<4 {
                    try self.read(change, filter, number, isBackwards, inFrame: frame)
                }
            }
        }
    }

    private func read(
        _ change: Change, _ filter: RecordFilter, _ number: Int, _ isBackwards: Bool, inFrame wanted: Int
    ) throws {
        let scratch = EngineScratch()
        var options = scratch.options
        options.cachedFrames = 1
        let engine = try scratch.open(options)
        for batch in 0..<8 {
            if batch == 3 { _ = try engine.seal() }
            var records = EngineScratch.records(batch * 60..<batch * 60 + 60)
            for index in records.indices where index % 2 == 0 { records[index].stream = "other\(index)" }
            records[1].type = "rare"
            records[1].correlation = .text("c")
            _ = try engine.appendBlocking(records)
        }
        var query = RecordQuery()
        query.filter = filter
        query.isBackwards = isBackwards
        let expected = try engine.records(query).map(\.position)
        #expect(!expected.isEmpty)
        var found: [UInt64] = []
        var frames = 0
        try engine.scan(query) { (frame, selection) throws(StorageError) in
            try frame.require(.all)
            _ = try selection.forEach(backwards: isBackwards) { index in
                found.append(frame.position(index))
                return true
            }
            if frames == wanted { try Self.apply(change, engine) }
            frames += 1
            return true
        }
        #expect(found == expected, "\(change) in frame \(wanted), filter \(number), backwards \(isBackwards)")
        engine.close()
    }
}
