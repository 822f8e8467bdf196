import Glibc
import Tidelog
import TidelogTesting

/// Where the events of a benchmark come from: the seeded generator, or a file that it wrote.
struct BenchInput: Sendable {
    /// The stream that the generator's events are given to 100 times, evenly over the log.
    static let hundredStream = "bench-hundred"

    let count: Int
    let seed: UInt64
    let streams: Int
    /// A file of events: a u32 length, little-endian, then that many bytes of plain JSON, and so on.
    let path: String?

    /// The type that is asked for where one event in a hundred is wanted.
    var rareType: String { EventGenerator.rareType }

    /// Reads the events from their beginning.
    func reader() throws -> BenchEvents { try BenchEvents(self) }

    /// All of them in memory, in batches of one size.
    func batches(of size: Int) throws -> [[Event]] {
        var reader = try self.reader()
        var batches: [[Event]] = []
        while case let batch = try reader.next(size), !batch.isEmpty { batches.append(batch) }
        return batches
    }

    /// Writes the generator's events to a file.
    func write(to path: String) throws {
        let file = try NewFile(path)
        let output = LineOutput(file.descriptor, name: path)
        let bar = ProgressBar("writing", total: self.count)
        defer { bar.finish() }
        var generator = self.generator
        let encoder = EventJSONEncoder(form: .plain)
        for done in 0..<self.count {
            let text = encoder.encode(generator.nextEvent())
            try output.write { bytes in
                let length = UInt32(text.count)
                for shift in stride(from: 0, to: 32, by: 8) {
                    bytes.append(UInt8(truncatingIfNeeded: length >> UInt32(shift)))
                }
                bytes.append(contentsOf: text)
            }
            if done % 4096 == 0 { bar.update(done) }
        }
        try output.flush()
        try file.complete()
    }

    fileprivate var generator: EventGenerator {
        var configuration = EventGenerator.Configuration()
        configuration.streams = self.streams
        return EventGenerator(seed: self.seed, configuration: configuration)
    }
}

/// The events of a benchmark one after the other.
struct BenchEvents {
    private let input: BenchInput
    private var generator: EventGenerator
    private var decoder = EventJSONDecoder(form: .plain)
    private let file: InputFile?
    private var done = 0

    fileprivate init(_ input: BenchInput) throws {
        self.input = input
        self.generator = input.generator
        self.file = try input.path.map { try InputFile($0) }
    }

    /// Up to `count` further events; none at the end.
    mutating func next(_ count: Int) throws -> [Event] {
        var events: [Event] = []
        events.reserveCapacity(min(count, self.input.count - self.done))
        while events.count < count, self.done < self.input.count {
            if let file {
                guard let text = try file.next() else { break }
                events.append(try self.decoder.decode(text))
            } else {
                var event = self.generator.nextEvent()
                if self.isForHundred { event.stream = BenchInput.hundredStream }
                events.append(event)
            }
            self.done += 1
        }
        return events
    }

    private var isForHundred: Bool {
        let step = max(1, self.input.count / 100)
        return self.done % step == step / 2 && self.done / step < 100
    }
}

/// A file of events, read piece by piece.
private final class InputFile {
    private let file: UnsafeMutablePointer<FILE>
    private let path: String

    init(_ path: String) throws {
        guard let file = fopen(path, "rbe") else {
            throw Failure(
                .unable, "cannot read \(path): \(systemMessage(errno)); make it with `tidelog bench --write-input`")
        }
        self.file = file
        self.path = path
    }

    deinit { fclose(self.file) }

    func next() throws -> [UInt8]? {
        var prefix: UInt32 = 0
        let got = fread(&prefix, 1, 4, self.file)
        if got == 0 { return nil }
        let length = Int(UInt32(littleEndian: prefix))
        guard got == 4, length <= 64 << 20 else { throw self.damaged() }
        var text = [UInt8](repeating: 0, count: length)
        guard fread(&text, 1, length, self.file) == length else { throw self.damaged() }
        return text
    }

    private func damaged() -> Failure {
        Failure(.unable, "\(self.path) is no file of events; make it with `tidelog bench --write-input`")
    }
}
