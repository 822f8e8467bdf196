import Foundation
import SystemPackage
import Tidelog
import TidelogStorage

/// The commands of the tool.
enum Command {
    static let usage = """
        usage: torture append LOG --seed N [--threads N] [--maintain] [--events N]
               torture once LOG --id ID
               torture hold LOG
               torture tail LOG
               torture fixture DIR
               torture fill LOG --limit BYTES
               torture race LOG --name NAME [--threads N] [--events N]
               torture claim LOG --name NAME [--rounds N]
               torture store LOG --seed N
               torture spread LOG [--few N] [--events N]
               torture register LOG
               torture rebuild LOG [--events N]
               torture step DIR --scenario NAME --action NUMBER --step N [--error NUMBER]
               torture steps [--scenario NAME] [--directory DIR]
               torture feed LOG [--events N]
               torture publish LOG [--events N]
               torture consume LOG [--hold] [--events N] [--pause-milliseconds N]
               torture transform LOG
               torture transformed LOG
               torture pause LOG --step N [--resume]
               torture poison LOG
               torture jump LOG [--seed N]
               torture before-restart LOG
               torture after-restart LOG
               torture schedule LOG [--seed N] [--events N]
               torture campaign [--cycles N] [--seed N] [--directory DIR]
        """

    static func run(_ arguments: [String]) throws {
        let options = try Options(arguments)
        switch options.command {
        case "append":
            try Appender(
                log: options.path(), seed: options.number("seed") ?? 1,
                threads: Int(options.number("threads") ?? 4), maintains: options.has("maintain"),
                events: options.number("events").map { Int($0) }
            ).run()
        case "once": try self.once(options)
        case "store": try StoreWorker(log: options.path(), seed: options.number("seed") ?? 1).run()
        case "spread": try Spreading.run(options)
        case "register": try self.register(options)
        case "rebuild": try Rebuilding.run(options)
        case "race": try Racer.run(options)
        case "claim": try Claiming.run(options)
        case "hold": try self.hold(options)
        case "tail": try self.tail(options)
        case "fixture": try Fixture.make(at: options.path())
        case "fill": try self.fill(options)
        case "step": try self.step(options)
        case "steps":
            try StepCampaign.runAll(
                directory: options.text("directory") ?? NSTemporaryDirectory(),
                scenarios: options.text("scenario").map { name in
                    Scenario.allCases.filter { $0.rawValue == name }
                }
                    ?? Scenario.allCases)
        case "feed": try Consuming.feed(options)
        case "publish": try Publishing.run(options)
        case "consume": try Consuming.consume(options)
        case "transform": try Consuming.transform(options)
        case "transformed": try Transforming.look(options)
        case "pause": try Pausing.run(options)
        case "poison": try Consuming.dieOfPoison(options)
        case "jump": try Consuming.jumpAbout(options)
        case "before-restart": try Consuming.beforeRestart(options)
        case "after-restart": try Consuming.afterRestart(options)
        case "schedule": try Consuming.schedule(options)
        case "campaign":
            let base = options.text("directory") ?? NSTemporaryDirectory()
            try Campaign.runAll(
                cycles: Int(options.number("cycles") ?? 500), seed: options.number("seed") ?? 1,
                directory: base)
        default:
            throw Failure("there is no such command\n\(self.usage)")
        }
    }

    /// Reads the log from its beginning, history and what comes, up to an event of type `end`.
    private static func tail(_ options: Options) throws {
        let log = try EventLog.openBlocking(
            at: FilePath(options.path()), configuration: Appender.configuration)
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                var next: UInt64 = 0
                for try await stored in try log.tail(from: .beginning) {
                    guard stored.position.rawValue == next else {
                        throw Failure("\(stored.position) came for \(next)")
                    }
                    if next == 0 { acknowledge("TAILS") }
                    if stored.event.type == "end" { break }
                    next += 1
                }
                acknowledge("TAILED \(next)")
            } catch {
                acknowledge("FAILED \(error)")
            }
            done.signal()
        }
        done.wait()
        log.closeBlocking()
    }

    /// Does a scenario with a fault at one of its calls.
    private static func step(_ options: Options) throws {
        guard let scenario = Scenario(rawValue: options.text("scenario") ?? ""),
            let action = Fault.Action(rawValue: Int32(options.number("action") ?? 0))
        else { throw Failure("there is no such scenario or action\n\(self.usage)") }
        let fault = Fault(
            action, at: Int(options.number("step") ?? 0), error: Int32(options.number("error") ?? 0))
        try ScenarioRun(scenario: scenario, place: Workplace(options.path()), fault: fault).run()
    }

    /// Opens the log, appends one event, says so, closes.
    private static func once(_ options: Options) throws {
        let log = try EventLog.openBlocking(
            at: FilePath(options.path()), configuration: Appender.configuration)
        let id = options.text("id") ?? "once"
        let result = try log.appendBlocking([Batch.event(id: id, stream: "once")])
        acknowledge("ONCE \(id) \(result.positions.lowerBound)")
        log.closeBlocking()
    }

    /// Registers a schema for events of type `out`: they must be objects.
    private static func register(_ options: Options) throws {
        let path = try options.path()
        try Consuming.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            try await log.schemas.register(JSONSchema(#"{"type":"object"}"#), for: "out")
            acknowledge("REGISTERED")
            await log.close()
        }
    }

    /// Begins a read transaction of the head and never ends it.
    private static func hold(_ options: Options) throws {
        var settings = Environment.Options()
        settings.mapSizeBytes = 64 << 30
        let environment = try Environment(path: options.path() + "/head.mdb", options: settings)
        try environment.read { transaction throws(StorageError) in
            acknowledge("HOLDS \(transaction.id)")
            while true { sleep(1000) }
        }
    }

    /// Appends under a file-size limit until there is no room, then says what the log answers.
    private static func fill(_ options: Options) throws {
        var configuration = Appender.configuration
        configuration.sealsInBackground = false  // it would make room again and again
        let log = try EventLog.openBlocking(at: FilePath(options.path()), configuration: configuration)
        let bytes = rlim_t(options.number("limit") ?? 8 << 20)
        var limit = rlimit(rlim_cur: bytes, rlim_max: RLIM_INFINITY_VALUE)
        guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
            throw Failure("setrlimit failed with \(errno)")
        }
        var random = SystemRandomNumberGenerator()
        var number = 0
        while true {
            let events = (0..<20).map { _ in
                number += 1
                return Event(
                    id: .init("fill-\(number)"), type: "fill", stream: "fill",
                    bytes: (0..<4000).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
            do {
                let result = try log.appendBlocking(events)
                acknowledge("FILLED \(result.positions.upperBound)")
            } catch {
                acknowledge("REFUSED \(error.code)")
                break
            }
        }
        limit.rlim_cur = RLIM_INFINITY_VALUE
        guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
            throw Failure("setrlimit failed with \(errno)")
        }
        let result = try log.appendBlocking([Batch.event(id: "after", stream: "fill")])
        acknowledge("AFTER \(result.positions.lowerBound)")
        log.closeBlocking()
    }
}

private let RLIM_INFINITY_VALUE = rlim_t.max

/// What could not be done, in words.
package struct Failure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// Writes one line in one call, so that a kill leaves it whole or leaves it out.
func acknowledge(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
}

/// A command, its paths and its options.
struct Options {
    let command: String
    private var paths: [String] = []
    private var values: [String: String] = [:]

    init(_ arguments: [String]) throws {
        self.command = arguments.first ?? ""
        var index = 1
        while index < arguments.count {
            let argument = arguments[index]
            index += 1
            guard argument.hasPrefix("--") else {
                self.paths.append(argument)
                continue
            }
            let hasValue = index < arguments.count && !arguments[index].hasPrefix("--")
            self.values[String(argument.dropFirst(2))] = hasValue ? arguments[index] : ""
            if hasValue { index += 1 }
        }
    }

    func path() throws -> String {
        guard let first = self.paths.first else { throw Failure("the log is missing\n\(Command.usage)") }
        return first
    }

    func text(_ name: String) -> String? { self.values[name] }
    func has(_ name: String) -> Bool { self.values[name] != nil }
    func number(_ name: String) -> UInt64? { self.values[name].flatMap { UInt64($0) } }
}
