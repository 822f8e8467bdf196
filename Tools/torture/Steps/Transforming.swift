import Dispatch
import SystemPackage
import Synchronization
import Tidelog

/// What the scenario `transform` does: for each of the log's last events a consumer appends one `out`, adds one to a
/// count, and leaves one timer of two that it schedules; exactly once, in several transactions.
enum Transforming {
    /// How things stand: each number must agree with the others.
    struct Standing: Equatable {
        /// Events that are to be answered, and those of them that were acknowledged.
        var inputs = 0, acknowledged = 0
        /// Answers, and how many inputs have one.
        var outputs = 0, answered = 0
        /// What the handlers counted, and the timers that they left.
        var counted = 0, timers = 0

        var line: String {
            "\(self.inputs) \(self.acknowledged) \(self.outputs) \(self.answered) \(self.counted) \(self.timers)"
        }

        init(_ log: EventLog) async throws {
            self.inputs = try await log.count(Transforming.inputs)
            self.acknowledged = try await log.consumers.status(of: Transforming.name)?.acknowledged ?? 0
            var causes: Set<EventID> = []
            for try await stored in log.read(.types("out")) {
                self.outputs += 1
                if let cause = stored.event.causationID { causes.insert(cause) }
            }
            self.answered = causes.count
            self.counted = Transforming.number(try await log.value(for: Transforming.name))
            self.timers = try await log.scheduledEvents(limit: 10_000).count
        }
    }

    private static let name = "transform"
    private static let first = Position(330)

    private static var inputs: EventQuery {
        var query = EventQuery.types("torture.*")
        query.from = self.first
        return query
    }

    /// Answers all inputs. Blocks.
    ///
    /// - Parameter patience: how long to wait for room before this is given up.
    static func finish(_ log: EventLog, patience: Duration) throws(EventLogError) {
        let outcome = Mutex<EventLogError?>(nil)
        let done = DispatchSemaphore(value: 0)
        Task {
            do throws(EventLogError) {
                try await self.transform(log, patience)
            } catch {
                outcome.withLock { $0 = error }
            }
            done.signal()
        }
        done.wait()
        if let error = outcome.withLock({ $0 }) { throw error }
    }

    private static func transform(_ log: EventLog, _ patience: Duration) async throws(EventLogError) {
        var settings = ConsumerSettings()
        settings.filter = .types("torture.*")
        settings.start = .position(self.first)
        settings.ordering = .none
        settings.retry = .immediate(maximumDeliveries: nil)
        settings.prefetch = 80
        let consumer = try await log.consumer(self.name, settings: settings)
        let inputs = try await log.count(self.inputs)
        let ended = Mutex<Result<Void, EventLogError>?>(nil)
        let running = Task {
            do throws(EventLogError) {
                try await consumer.runExactlyOnce(batchesOf: 40) { deliveries, transaction in
                    for delivery in deliveries { try await self.answer(delivery.event.id, transaction) }
                }
                ended.withLock { $0 = .success(()) }
            } catch {
                ended.withLock { $0 = .failure(error) }
            }
        }
        let begun = ContinuousClock.now
        var failure: EventLogError?
        while failure == nil, ended.withLock({ $0 == nil }) {
            do throws(EventLogError) {
                if try await log.consumers.status(of: self.name)?.acknowledged == inputs { break }
            } catch {
                failure = error
            }
            if ContinuousClock.now - begun > patience {
                failure = EventLogError(.storageFull, "no room was made in \(patience)")
            }
            try? await Task.sleep(for: .milliseconds(1))
        }
        running.cancel()
        await running.value
        await consumer.leave()
        if case .failure(let error) = ended.withLock({ $0 }) { failure = failure ?? error }
        if let failure { throw failure }
    }

    private static func answer(_ input: EventID, _ transaction: HandlerTransaction) async throws {
        try transaction.append(Event(type: "out", stream: "out", causationID: input))
        let count = self.number(try await transaction.value(for: self.name))
        try transaction.set(Array("\(count + 1)".utf8), for: self.name)
        let timers = ["kept", "dropped"].map { Event(id: .init("\($0)-\(input)"), type: "later") }
        for timer in timers { try transaction.schedule(timer, after: .seconds(30 * 86_400)) }
        transaction.cancelScheduled(id: timers[1].id)
    }

    /// The number in a value; 0 if there is none.
    private static func number(_ value: [UInt8]?) -> Int {
        value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
    }

    /// Says how things stand, answers what is left, and says it again.
    static func look(_ options: Options) throws {
        let path = try options.path()
        try Consuming.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Workplace.configuration)
            acknowledge("STANDS \(try await Standing(log).line)")
            try await self.transform(log, .seconds(60))
            acknowledge("ENDS \(try await Standing(log).line)")
            await log.close()
        }
    }
}

extension StepCheck {
    /// In a process of its own, which may wait for tasks: N inputs have N answers, a count of N and N timers, and at
    /// any moment as many as were acknowledged.
    func checkTransformed() throws {
        let child = try Child(["transformed", self.place.log], output: self.place.directory + "/transformed")
        let status = child.wait()
        let lines = child.lines()
        func numbers(_ word: String) -> [Int] {
            let line = lines.first { $0.hasPrefix(word + " ") } ?? ""
            return line.split(separator: " ").dropFirst().compactMap { Int($0) }
        }
        let (stands, ends) = (numbers("STANDS"), numbers("ENDS"))
        guard status == 0, stands.count == 6, ends.count == 6 else {
            throw Failure("looking at the transform ended with \(status): \(lines)")
        }
        guard Set(stands.dropFirst()).count == 1 else {
            throw Failure("inputs, acknowledged, outputs, answered, counted, timers: \(stands)")
        }
        if self.lines.contains("DONE") || self.lines.contains("RECOVERED"), stands[1] != stands[0] {
            throw Failure("it was done, and of inputs were acknowledged, answered: \(stands)")
        }
        guard Set(ends).count == 1, ends[0] > 100 else {
            throw Failure("at the end inputs, acknowledged, outputs, answered, counted, timers: \(ends)")
        }
    }
}
