// The codecs alone, in memory: XXH64, frames of 1,000 events in and out. No disk, no transaction.
import Benchmark
import Tidelog
import TidelogStorage
import TidelogTesting

let seed: UInt64 = 1
let batch = 1000

/// A batch of generated events, and the frame that they make.
struct Sample {
    let records: [EventRecord]
    let frame: [UInt8]

    init() throws {
        var generator = EventGenerator(seed: seed)
        self.records = generator.events(batch).map(\.record)
        let encoder = try FrameEncoder()
        for record in self.records { try encoder.append(record) }
        let draft = try encoder.finish()
        let revisions = [UInt64](repeating: 0, count: draft.summary.streams.count)
        var frame = [UInt8](repeating: 0, count: draft.byteCount(baseRevisions: revisions))
        frame.withUnsafeMutableBytes { draft.write(firstPosition: 0, baseRevisions: revisions, into: $0) }
        self.frame = frame
    }
}

func noDictionary(_ id: UInt32) throws(StorageError) -> CompressionDictionary {
    fatalError("These frames have no dictionary.")
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput, .peakMemoryResident], timeUnits: .microseconds,
        maxDuration: .seconds(3), maxIterations: 20_000)

    Benchmark("XXH64 of 64 KiB") { benchmark in
        let bytes = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        benchmark.startMeasurement()
        bytes.withUnsafeBytes { blackHole(XXH64.hash($0)) }
    }

    Benchmark("Encode a frame of 1,000 events") { benchmark, sample in
        let encoder = try FrameEncoder()
        benchmark.startMeasurement()
        for record in sample.records { try encoder.append(record) }
        blackHole(try encoder.finish())
    } setup: {
        try Sample()
    }

    Benchmark("Decode the envelope of 1,000 events, and count one type") { benchmark, sample in
        let decoder = FrameDecoder()
        benchmark.startMeasurement()
        try sample.frame.withUnsafeBytes {
            try decoder.load($0, expectedFirstPosition: 0, dictionary: noDictionary)
        }
        var count = 0
        for kind in 0..<decoder.distinctCount(.type)
        where decoder.distinctText(.type, kind) == EventGenerator.rareType {
            for index in 0..<decoder.count where decoder.code(.type, index) == kind { count += 1 }
        }
        blackHole(count)
    } setup: {
        try Sample()
    }

    Benchmark("View 1,000 payloads") { benchmark, sample in
        let decoder = FrameDecoder()
        benchmark.startMeasurement()
        try sample.frame.withUnsafeBytes {
            try decoder.load($0, expectedFirstPosition: 0, dictionary: noDictionary)
        }
        var sum = 0
        for index in 0..<decoder.count { try decoder.withPayload(index) { sum &+= $0.count } }
        blackHole(sum)
    } setup: {
        try Sample()
    }

    Benchmark("Own 1,000 events") { benchmark, sample in
        let decoder = FrameDecoder()
        benchmark.startMeasurement()
        try sample.frame.withUnsafeBytes {
            try decoder.load($0, expectedFirstPosition: 0, dictionary: noDictionary)
        }
        for index in 0..<decoder.count { blackHole(try decoder.record(index)) }
    } setup: {
        try Sample()
    }
}
