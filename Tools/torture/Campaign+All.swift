import Foundation
import SystemPackage
import Tidelog
import TidelogTesting

extension Campaign {
    /// Two processes open one log at once, and the first is killed at a random moment; the second must
    /// work, and nothing that either acknowledged may be lost.
    package static func race(directory: String, seed: UInt64, rounds: Int, isFresh: Bool) throws {
        var random = SeededGenerator(seed: seed)
        var expected: [UInt64: String] = [:]
        for round in 0..<rounds {
            let log = directory + (isFresh ? "/log-\(round)" : "/log")
            if isFresh { expected = [:] }
            let first = try Child(["once", log, "--id", "first-\(round)"], output: directory + "/first")
            let second = try Child(["once", log, "--id", "second-\(round)"], output: directory + "/second")
            usleep(UInt32(random.below(60_000)))
            first.kill()
            let status = second.wait()
            guard status == 0 else {
                throw Failure(
                    "seed \(seed), round \(round): the second ended with \(status): \(second.lines())")
            }
            for line in first.lines() + second.lines() where line.hasPrefix("ONCE") {
                let words = line.split(separator: " ").map(String.init)
                guard expected.updateValue(words[1], forKey: UInt64(words[2]) ?? 0) == nil else {
                    throw Failure("seed \(seed), round \(round): position \(words[2]) was given twice")
                }
            }
            let opened = try EventLog.openBlocking(at: FilePath(log), configuration: Appender.configuration)
            defer { opened.closeBlocking() }
            let found = try opened.eventsBlocking()
            for (position, id) in expected {
                guard position < found.count, found[Int(position)].event.id.description == id else {
                    throw Failure("seed \(seed), round \(round): \(id) at \(position) is lost")
                }
            }
        }
    }

    /// Everything, for hours.
    static func runAll(cycles: Int, seed: UInt64, directory base: String) throws {
        acknowledge("seed \(seed)")
        for maintains in [false, true] {
            let directory = base + "/torture-\(getpid())-\(maintains)"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            var campaign = Campaign(directory: directory, seed: seed, maintains: maintains)
            try campaign.run(cycles: cycles) { cycle in
                if cycle % 10 == 9 {
                    acknowledge("\(cycle + 1) of \(cycles) cycles, maintenance \(maintains)")
                }
            }
            acknowledge(
                "\(cycles) kills, \(campaign.acknowledged) acknowledgements, maintenance \(maintains): fine"
            )
            try FileManager.default.removeItem(atPath: directory)
        }
        for isFresh in [true, false] {
            let directory = base + "/torture-\(getpid())-race"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try Self.race(directory: directory, seed: seed, rounds: cycles, isFresh: isFresh)
            acknowledge("\(cycles) races of two that open \(isFresh ? "a new log" : "one log"): fine")
            try FileManager.default.removeItem(atPath: directory)
        }
    }
}
