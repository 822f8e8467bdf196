import Foundation

/// Interrupts a scenario at every one of its calls, and checks each time what is left.
package struct StepCampaign {
    private let directory: String
    private let template: Workplace
    private let storeTemplate: Workplace
    private var runs = 0

    /// Works in `directory`, which must be empty.
    package init(directory: String) throws {
        self.directory = directory
        self.template = Workplace(directory + "/template")
        try FileManager.default.createDirectory(
            atPath: self.template.directory, withIntermediateDirectories: true)
        try self.template.prepare()
        self.storeTemplate = Workplace(directory + "/store-template")
        try FileManager.default.createDirectory(
            atPath: self.storeTemplate.directory, withIntermediateDirectories: true)
        try StoreSteps(place: self.storeTemplate).prepare()
    }

    /// Lets `action` happen at every `stride`-th call of `scenario` from `first` on; answers how many calls
    /// it has.
    package mutating func run(
        _ scenario: Scenario, _ action: Fault.Action, error: Int32 = 0, from first: Int = 0,
        every stride: Int = 1
    ) throws -> Int {
        var step = first
        while true {
            let fault = Fault(action, at: step, error: error)
            do {
                if let calls = try self.step(scenario, fault) { return calls }
            } catch {
                throw Failure("\(scenario), \(action) at call \(step): \(error)")
            }
            step += stride
        }
    }

    /// Stops a process at every `stride`-th call of `scenario`, lets another one open the log, kills the
    /// first and expects the second to work; answers how many calls there are.
    package mutating func race(
        _ scenario: Scenario, _ action: Fault.Action, from first: Int = 0, every stride: Int = 1
    ) throws -> Int {
        var step = first
        while true {
            do {
                if let calls = try self.raceStep(scenario, Fault(action, at: step)) { return calls }
            } catch {
                throw Failure("\(scenario), \(action) at call \(step) while another opens: \(error)")
            }
            step += stride
        }
    }

    // MARK: One step

    /// Answers the number of calls if there is no such call.
    private mutating func step(_ scenario: Scenario, _ fault: Fault) throws -> Int? {
        let place = try self.freshPlace(scenario)
        defer { try? FileManager.default.removeItem(atPath: place.directory) }
        let child = try Self.start(scenario, place, fault)
        let end = child.wait()
        let lines = child.lines()
        let hasHappened = lines.contains { $0.hasPrefix("AT ") }
        let told = lines.joined(separator: "; ")
        do {
            if fault.action == .kill || fault.action == .tear, hasHappened {
                guard end == .killed(SIGKILL) else { throw Failure("the child ended with \(end)") }
            } else {
                guard end == .exited(0) else { throw Failure("the child ended with \(end)") }
                guard lines.contains("DONE") || lines.contains("RECOVERED") else {
                    throw Failure("the child did not recover")
                }
                try Self.checkErrors(lines, fault)
            }
            try StepCheck(scenario: scenario, place: place, lines: lines).run()
        } catch {
            throw Failure("\(error) (the child said: \(told))")
        }
        return hasHappened ? nil : Self.calls(lines)
    }

    /// An error is of a kind that says what happened, and a full disk refuses nothing once there is room.
    private static func checkErrors(_ lines: [String], _ fault: Fault) throws {
        for line in lines where line.hasPrefix("ERROR") || line.hasPrefix("REFUSED") {
            let code = line.split(separator: " ")[1]
            var known = ["inputOutput", "storageFull", "poisoned"]
            if fault.error == EMFILE { known.append("limitExceeded") }
            // LMDB makes "invalid argument" out of a lock that fails.
            if lines.contains(where: { $0.hasPrefix("AT fcntl") }) { known.append("invalidArgument") }
            guard known.contains(String(code)) else { throw Failure("an error of the wrong kind") }
            if line.hasPrefix("REFUSED"), code == "storageFull" {
                throw Failure("there is room again, and it does not go on")
            }
        }
    }

    private mutating func raceStep(_ scenario: Scenario, _ fault: Fault) throws -> Int? {
        let place = try self.freshPlace(scenario)
        defer { try? FileManager.default.removeItem(atPath: place.directory) }
        let first = try Self.start(scenario, place, fault)
        guard first.wait() == .stopped else { return Self.calls(first.lines()) }
        let second = try Spawned(["once", place.log, "--id", "second"], output: place.directory + "/second")
        second.waitUntilBlocked()
        first.kill()
        let end = second.wait()
        let lines = first.lines() + second.lines()
        do {
            guard end == .exited(0) else { throw Failure("the second process ended with \(end)") }
            try StepCheck(scenario: scenario, place: place, lines: lines).run()
        } catch {
            throw Failure("\(error) (they said: \(lines.joined(separator: "; ")))")
        }
        return nil
    }

    private static func start(_ scenario: Scenario, _ place: Workplace, _ fault: Fault) throws -> Spawned {
        try Spawned(
            [
                "step", place.directory, "--scenario", scenario.rawValue, "--action",
                "\(fault.action.rawValue)",
                "--step", "\(fault.step)", "--error", "\(fault.error)",
            ], output: place.directory + "/said")
    }

    private static func calls(_ lines: [String]) -> Int {
        let line = lines.first { $0.hasPrefix("CALLS") }
        return line.flatMap { Int($0.dropFirst(6)) } ?? 0
    }

    private mutating func freshPlace(_ scenario: Scenario) throws -> Workplace {
        self.runs += 1
        let place = Workplace(self.directory + "/run-\(self.runs)")
        if scenario == .create {
            try FileManager.default.createDirectory(
                atPath: place.directory, withIntermediateDirectories: false)
        } else {
            let template = scenario.isOfStore ? self.storeTemplate : self.template
            try FileManager.default.copyItem(atPath: template.directory, toPath: place.directory)
        }
        return place
    }
}

extension StepCampaign {
    /// What may go wrong at a call, and how a report names it.
    package static let faults: [(name: String, action: Fault.Action, error: Int32)] = [
        ("killed", .kill, 0), ("killed in the middle of a write", .tear, 0),
        ("an error of the disk", .fail, EIO),
        ("one call finds the disk full", .fail, ENOSPC), ("the disk stays full", .full, ENOSPC),
        ("no more descriptors", .fail, EMFILE),
    ]

    /// Everything at every call; a failure does not keep the rest from running.
    static func runAll(directory base: String, scenarios: [Scenario]) throws {
        let directory = base + "/torture-\(getpid())-steps"
        var campaign = try StepCampaign(directory: directory)
        var failures: [any Error] = []
        for scenario in scenarios {
            for (name, action, error) in Self.faults {
                do {
                    let calls = try campaign.run(scenario, action, error: error)
                    acknowledge("\(scenario), \(name), at each of \(calls) calls: fine")
                } catch {
                    failures.append(error)
                    acknowledge("\(error)")
                }
            }
            guard scenario != .restore else { continue }
            for action in [Fault.Action.stop, .stopAfter] {
                do {
                    let calls = try campaign.race(scenario, action)
                    acknowledge("\(scenario), \(action) at each of \(calls) calls while another opens: fine")
                } catch {
                    failures.append(error)
                    acknowledge("\(error)")
                }
            }
        }
        try FileManager.default.removeItem(atPath: directory)
        if !failures.isEmpty { throw Failure("\(failures.count) failed") }
    }
}
