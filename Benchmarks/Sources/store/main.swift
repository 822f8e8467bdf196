// The event store measured beside SQLite through GRDB; Peers/store_sqlite.c and store_postgres.c are the same
// in C. One scenario a process, one JSON object a result:
//     store --peer tidelog|grdb --scenario NAME --directory DIR [--events N] [--seconds S]
import Foundation
import Tidelog

struct Settings: Sendable {
    let directory: String
    let events: Int
    let seconds: Double
    let peer: String
    /// Streams of 100 events.
    var streams: Int { self.events / 100 }

    func report(_ scenario: String, _ events: Int, _ seconds: Double, _ more: [(String, Double)] = []) {
        let rate = seconds > 0 ? Double(events) / seconds : 0
        let rest = more.map { String(format: ",\"%@\":%.3f", $0.0, $0.1) }.joined()
        print(
            String(
                format: "{\"peer\":\"%@\",\"scenario\":\"%@\",\"events\":%d,\"seconds\":%.6f,", self.peer,
                scenario, events, seconds) + String(format: "\"events_per_second\":%.0f%@}", rate, rest))
    }

    /// The median, in microseconds, of what `body` takes; it is told how often it was called before.
    func median(
        _ reads: Int, _ body: (Int) async throws -> Void
    ) async rethrows -> (total: Double, us: Double) {
        let warming = reads / 10
        var times: [Double] = []
        for index in 0..<warming + reads {
            let start = ContinuousClock.now
            try await body(index)
            let time = (ContinuousClock.now - start) / .microseconds(1)
            if index >= warming { times.append(time) }
        }
        times.sort()
        return (times.reduce(0, +) / 1e6, times[times.count / 2])
    }
}

/// The anonymous memory of this process that is resident, in megabytes.
func anonymousMegabytes() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? "0"
    return Double(line.filter(\.isNumber)).map { $0 / 1000 } ?? 0
}

/// What this process has used of the processors, in seconds: of use where other work disturbs the clock.
func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(1)
}

func option(_ name: String) -> String? {
    let arguments = CommandLine.arguments
    guard let at = arguments.firstIndex(of: "--" + name), at + 1 < arguments.count else { return nil }
    return arguments[at + 1]
}

guard let scenario = option("scenario"), let directory = option("directory") else {
    fail("--scenario and --directory are missing")
}
let settings = Settings(
    directory: directory, events: option("events").flatMap { Int($0) } ?? 1_000_000,
    seconds: option("seconds").flatMap { Double($0) } ?? 3, peer: option("peer") ?? "tidelog")

switch settings.peer {
case "tidelog": try await TidelogSide(settings: settings).run(scenario)
case "grdb": try await GRDBSide(settings: settings).run(scenario)
default: fail("no peer \(settings.peer)")
}
