import Foundation
import SystemPackage
import Tidelog
import TidelogStorage

/// What the store does beside appending, as scenarios: each of its transactions brings together things that must
/// never disagree.
struct StoreSteps {
    let place: Workplace

    /// Hours of a clock that the process's timers go by.
    private static func hour(_ hours: Int64) -> @Sendable () -> Timestamp {
        { Timestamp(nanosecondsSinceEpoch: 1_700_000_000_000_000_000 + hours * 3_600_000_000_000) }
    }

    /// How the trips of the log end: well, by failing, or by nothing but their timers.
    private static let ends: [String?] = ["fail", nil, "end", "fail"]

    private static func trips(at now: @escaping @Sendable () -> Timestamp) -> ProcessManager<Int> {
        var process = Compensating.process(patience: .seconds(3600))
        process.now = now
        return process
    }

    private static func repository(_ log: EventLog) -> Repository<Tally, EventLog> {
        var repository = Repository<Tally, EventLog>(log)
        repository.snapshotEvery = 5
        return repository
    }

    private static func process(at now: @escaping @Sendable () -> Timestamp) -> ProcessManager<Int> {
        var process = StoreWorker.process(after: .seconds(3600))
        process.now = now
        return process
    }

    /// Makes a log with a few streams, snapshots, and events that the process has not handled.
    func prepare() throws {
        let log = try self.place.open()
        try Self.blocking {
            for number in 0..<21 { try await Self.repository(log).execute(number, on: "\(number % 3)") }
            try await log.append((0..<5).map { Event(id: .init("go-\($0)"), type: "go") }, if: .always)
            for (number, end) in Self.ends.enumerated() {
                for part in Compensating.trip("trip-\(number)", legs: 1 + number, end: end) {
                    try await log.append(part)
                }
            }
        }
        log.closeBlocking()
    }

    /// Can be done again after it was interrupted anywhere; tells `report` what was acknowledged.
    func perform(
        _ scenario: Scenario, _ log: EventLog, report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(EventLogError) {
        try Self.blocking { () async throws in
            switch scenario {
            case .project: try await log.catchUp(StoreWorker.projection(version: 1))
            case .rebuild:
                try await log.catchUp(StoreWorker.projection(version: 1))
                try await log.rebuild(StoreWorker.projection(version: 1))
            case .command:
                for number in 0..<6 {
                    let outcome = try await Self.repository(log).execute(number, on: "0")
                    report("TALLY 0 \(outcome.loaded.revision?.rawValue ?? 0)")
                }
            case .timers:
                try await log.catchUp(Self.process(at: Self.hour(0)))
                // Two hours later: all timers are due.
                try await log.catchUp(Self.process(at: Self.hour(2)))
            case .compensate:
                try await log.catchUp(Self.trips(at: Self.hour(0)))
                try await log.catchUp(Self.trips(at: Self.hour(2)))
            default: break
            }
        }
    }

    /// Looks at what is left, goes on from there, and looks again.
    func check(_ scenario: Scenario, _ lines: [String]) throws {
        let log = try self.place.open()
        let before = try Self.blocking { try await StoreWork.check(log, acknowledged: lines) }
        try self.perform(scenario, log)
        try Self.blocking {
            let events = try await StoreWork.check(log, acknowledged: lines)
            guard events >= before else { throw Failure("events are gone: \(before), now \(events)") }
            switch scenario {
            case .project, .rebuild:
                guard let status = try await log.projection("sums").status(), status.next == status.end,
                    status.building == nil
                else { throw Failure("the projection did not go on to the end") }
            case .timers:
                let found = try await log.events(.all)
                guard found.count(where: { $0.type == "fired" }) == 5 else {
                    throw Failure("of 5 timers \(found.count { $0.type == "fired" }) have fired")
                }
            case .compensate:
                let found = try await Compensating.check(log, try await log.events(.all), isAtEnd: true)
                guard found == (1, 3) else { throw Failure("of 4 trips \(found) are done and undone") }
            default: break
            }
        }
        log.closeBlocking()
        var options = VerificationOptions()
        options.isDeep = true
        let outcome = try Verification.run(directory: self.place.log, options: options)
        guard outcome.isClean else { throw Failure("verify: \(outcome.findings.map(\.message))") }
    }

    /// Runs `body` to its end from a thread that may block.
    private static func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) throws(EventLogError) -> Value {
        let ended = DispatchSemaphore(value: 0)
        let result = Lock<Result<Value, any Error>?>(nil)
        Task.detached {
            do {
                let value = try await body()
                result.withLock { $0 = .success(value) }
            } catch {
                result.withLock { $0 = .failure(error) }
            }
            ended.signal()
        }
        ended.wait()
        do {
            guard let outcome = result.withLock({ $0 }) else { throw Failure("the task left no result") }
            return try outcome.get()
        } catch let error as EventLogError {
            throw error
        } catch {
            throw EventLogError(.invalidArgument, "\(error)", cause: error)
        }
    }
}
