// Writes events of the seeded generator in their plain JSON form, for peers that are not written in Swift.
//     write-events FILE [--events N] [--streams M] [--seed S]
// Each event is a u32 length, little-endian, then that many bytes of JSON. One event in every N/100 belongs to
// the stream "hundred", so that a stream of exactly 100 events is there whatever the number of streams.
import Foundation
import Tidelog
import TidelogTesting

func option(_ name: String, _ fallback: Int) -> Int {
    let arguments = CommandLine.arguments
    guard let at = arguments.firstIndex(of: "--" + name), at + 1 < arguments.count else { return fallback }
    guard let value = Int(arguments[at + 1]), value > 0 else { fail("--\(name) takes a number above 0") }
    return value
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(2)
}

/// The plain form of an event; members that it does not have are left out.
func plain(_ event: Event, stream: String?) -> [UInt8] {
    var text = Array("{\"id\":\"\(event.id)\",\"type\":\"\(event.type)\"".utf8)
    func member(_ key: String, _ value: String?) {
        if let value { text += Array(",\"\(key)\":\"\(value)\"".utf8) }
    }
    member("stream", stream)
    text += Array(",\"payload\":".utf8) + event.payload.bytes
    if !event.metadata.isEmpty { text += Array(",\"metadata\":".utf8) + event.metadata.json }
    member("timestamp", event.timestamp.description)
    member("source", event.source)
    member("correlation_id", event.correlationID?.description)
    member("causation_id", event.causationID?.description)
    text.append(UInt8(ascii: "}"))
    return text
}

guard CommandLine.arguments.count > 1, !CommandLine.arguments[1].hasPrefix("--") else {
    fail("usage: write-events FILE [--events N] [--streams M] [--seed S]")
}
let count = option("events", 1_000_000)
var configuration = EventGenerator.Configuration()
configuration.streams = option("streams", 100_000)
var generator = EventGenerator(seed: UInt64(option("seed", 1)), configuration: configuration)

guard let file = fopen(CommandLine.arguments[1], "wb") else {
    fail("cannot write \(CommandLine.arguments[1])")
}
let step = max(count / 100, 1)
for index in 0..<count {
    let event = generator.nextEvent()
    let bytes = plain(event, stream: index % step == step / 2 ? "hundred" : event.stream)
    var length = UInt32(bytes.count).littleEndian
    guard fwrite(&length, 4, 1, file) == 1, fwrite(bytes, 1, bytes.count, file) == bytes.count else {
        fail("cannot write \(CommandLine.arguments[1])")
    }
}
guard fclose(file) == 0 else { fail("cannot write \(CommandLine.arguments[1])") }
