// SQLite through GRDB as a peer of Benchmarks/run: owned events of a whole scan.
//     sqlite-grdb --peer sqlite-grdb --scenario read --input FILE --directory DIR [--events N] [--seconds S]
import Foundation
import SQLitePeer

func option(_ name: String) -> String? {
    let arguments = CommandLine.arguments
    guard let at = arguments.firstIndex(of: "--" + name), at + 1 < arguments.count else { return nil }
    return arguments[at + 1]
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(1)
}

guard option("scenario") == "read" else { fail("the one scenario here is 'read'") }
guard let input = option("input"), let directory = option("directory") else {
    fail("--input and --directory are missing")
}

let store = try SQLiteStore(directory: directory)
try store.insert(plain: EventsFile(path: input, limit: option("events").flatMap { Int($0) } ?? .max))
for pass in 0..<2 {  // The first one warms the caches.
    var count = 0
    var sum = 0
    let clock = ContinuousClock()
    let time = try clock.measure {
        try store.forEach { event in
            count += 1
            sum += event.type.utf8.count + (event.payload?.count ?? 0) + Int(event.payload?.last ?? 0)
        }
    }
    guard count > 0, sum > 0 else { fail("nothing came back") }
    let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
    if pass == 1 {
        print(
            "{\"peer\":\"sqlite-grdb\",\"scenario\":\"replay-owned\",\"events\":\(count),\"seconds\":\(seconds),"
                + "\"events_per_second\":\(Int(Double(count) / seconds))}")
    }
}
