import Foundation

/// What the command line says: `--name value` pairs.
enum Options {
    static func text(_ name: String) -> String? {
        let arguments = CommandLine.arguments
        guard let at = arguments.firstIndex(of: "--" + name), at + 1 < arguments.count else { return nil }
        return arguments[at + 1]
    }

    static func number(_ name: String, _ fallback: Int) -> Int {
        Self.text(name).flatMap { Int($0) } ?? fallback
    }
}

/// Ends the process with a message.
func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(1)
}

/// Prints a measurement as the peers do, on a line of its own.
func report(_ peer: String, _ scenario: String, events: Int, seconds: Double, _ more: (String, Double)...) {
    var line =
        "{\"peer\":\"\(peer)\",\"scenario\":\"\(scenario)\",\"events\":\(events),\"seconds\":\(seconds),"
    line += "\"events_per_second\":\(Int(Double(events) / seconds))"
    for (name, value) in more { line += ",\"\(name)\":\(value)" }
    print(line + "}")
}

/// How long `body` takes.
func time(_ body: () async throws -> Void) async rethrows -> Double {
    let start = ContinuousClock.now
    try await body()
    return (ContinuousClock.now - start).seconds
}

extension Duration {
    /// In seconds.
    var seconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) * 1e-18
    }
}

/// The middle one.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// The most memory that the process had resident, in MiB.
func peakMemory() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? ""
    return (Double(line.filter(\.isNumber)) ?? 0) / 1024
}
