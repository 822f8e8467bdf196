import Tidelog

/// What closing means.
extension BusConformance {
    static var closingPromises: [Promise] {
        [
            Promise("a closed bus refuses to publish and to subscribe", needsDelivery: false) {
                try await $0.refusing()
            },
            Promise("closing delivers what was accepted") { try await $0.draining() },
            Promise("closing ends sequences, after what was accepted, and the stream of failures") {
                try await $0.endingSequences()
            },
            Promise("closing ends although nobody reads a sequence, which still gives what was accepted") {
                try await $0.closingUnread()
            },
            Promise("closing twice, and from many tasks at once, is the same as once", needsDelivery: false) {
                try await $0.closingTwice()
            },
            Promise("closing in a cancelled task delivers what was accepted, too") {
                try await $0.closingWhenCancelled()
            },
            Promise("a handler may close the bus") { try await $0.closingFromWithin() },
            Promise("closing while others publish: what was accepted is delivered, the rest is refused") {
                try await $0.closingWhilePublishing()
            },
            Promise(
                "publishing, subscribing, cancelling and closing at random neither hang nor deliver twice"
            ) {
                try await $0.random()
            },
        ]
    }

    private func refusing() async throws {
        try await self.withBus { bus in
            await bus.close()
            try await self.requireError(.closed, "publishing") { try await bus.publish(Event(type: "a")) }
            try await self.requireError(.closed, "publishing several") {
                try await bus.publish([Event(type: "a"), Event(type: "b")])
            }
            try await self.requireError(.closed, "subscribing") { try await bus.subscribe("a") { _ in } }
            try await self.requireError(.closed, "subscribing an async handler") {
                try await bus.subscribe("a", handler: { (_: Event) async in })
            }
            try await self.requireError(.closed, "subscribing a sequence") { _ = try await bus.events("a") }
        }
    }

    private func draining() async throws {
        try await self.withBus { bus in
            let plain = Collector()
            let async = Collector()
            try await bus.subscribe("a") { plain.add($0) }
            try await bus.subscribe(
                "a",
                handler: { (event: Event) async throws in
                    try await Task.sleep(for: .microseconds(200))
                    async.add(event)
                })
            let events = (0..<200).map { _ in Event(type: "a") }
            for event in events { try await bus.publish(event) }
            await bus.close()
            try self.require(plain.events == events, "the handler got \(plain.count) of \(events.count)")
            try self.require(
                async.events == events, "the async handler got \(async.count) of \(events.count)")
        }
    }

    private func endingSequences() async throws {
        try await self.withBus { bus in
            let stream = try await bus.events("a")
            let failures = bus.failures
            let events = (0..<100).map { _ in Event(type: "a") }
            for event in events { try await bus.publish(event) }
            await bus.close()
            var got: [Event] = []
            for try await event in stream { got.append(event) }
            try self.require(got == events, "the sequence gave \(got.count) of \(events.count)")
            for await failure in failures { throw Failure(description: "there was a failure: \(failure)") }
        }
    }

    private func closingUnread() async throws {
        try await self.withBus { bus in
            let stream = try await bus.events("a", buffer: BusBuffer(size: 2))
            let accepted = Collector()
            let publisher = Task {
                for _ in 0..<100 {
                    let event = Event(type: "a")
                    guard try await Self.publishes(event, on: bus) else { return }
                    accepted.add(event)
                }
            }
            try await self.eventually("two events are accepted") { accepted.count >= 2 }
            let hasEnded = Recorded(false)
            let closing = Task {
                await bus.close()
                hasEnded.withLock { $0 = true }
            }
            try await self.eventually("closing ends") { hasEnded.withLock { $0 } }
            await closing.value
            try await publisher.value
            var got: [Event] = []
            for try await event in stream { got.append(event) }
            try self.require(
                got == accepted.events, "\(accepted.count) were accepted, and the sequence gave \(got.count)")
        }
    }

    private func closingTwice() async throws {
        try await self.withBus { bus in
            try await bus.subscribe("a") { _ in }
            try await bus.publish(Event(type: "a"))
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { await bus.close() } }
            }
            await bus.close()
        }
    }

    private func closingWhenCancelled() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe(
                "a",
                handler: { (event: Event) async throws in
                    try await Task.sleep(for: .microseconds(200))
                    collector.add(event)
                })
            let events = (0..<100).map { _ in Event(type: "a") }
            for event in events { try await bus.publish(event) }
            let closing = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                await bus.close()
            }
            await closing.value
            try self.require(
                collector.events == events, "the handler got \(collector.count) of \(events.count)")
        }
    }

    private func closingFromWithin() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            let refused = Collector()
            try await bus.subscribe(
                "a",
                handler: { event in
                    await bus.close()
                    do throws(EventLogError) {
                        try await bus.subscribe("b") { _ in }
                    } catch {
                        if error.code == .closed { refused.add(event) }
                    }
                    collector.add(event)
                })
            try await bus.publish(Event(type: "a"))
            try await self.eventually("the handler returns from closing") { collector.count == 1 }
            try self.require(refused.count == 1, "the handler that closed the bus could still subscribe")
            try await self.requireError(.closed, "publishing after that") {
                try await bus.publish(Event(type: "a"))
            }
        }
    }

    private func closingWhilePublishing() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("a") { collector.add($0) }
            let accepted = Collector()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        while true {
                            let event = Event(type: "a")
                            guard try await Self.publishes(event, on: bus) else { return }
                            accepted.add(event)
                            await Task.yield()  // a bus may never suspend its publishers
                        }
                    }
                }
                group.addTask {
                    try await self.eventually("some events are published") { accepted.count > 50 }
                    await bus.close()
                }
                try await group.waitForAll()
            }
            let delivered = Set(collector.events.map(\.id))
            let missing = accepted.events.filter { !delivered.contains($0.id) }
            try self.require(missing.isEmpty, "\(missing.count) accepted events were not delivered")
            try self.require(delivered.count == collector.count, "events were delivered twice")
        }
    }

    private func random() async throws {
        try await self.withBus { bus in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<8 {
                    group.addTask { try await self.actAtRandom(on: bus, worker: worker) }
                }
                try await group.waitForAll()
            }
        }
    }

    /// Publishes; false if the bus is closed.
    private static func publishes(_ event: Event, on bus: any EventBus) async throws -> Bool {
        do {
            try await bus.publish(event)
            return true
        } catch {
            if error.code == .closed { return false }
            throw error
        }
    }

    private func actAtRandom(on bus: any EventBus, worker: Int) async throws {
        let actions = RandomActions(bus: bus, worker: worker)
        do {
            try await actions.run()
        } catch {
            // Another worker closed it.
            guard EventLogError.Code.closed ~= error else { throw error }
        }
        for collector in actions.collectors.withLock({ $0 }) {
            let ids = collector.events.map(\.id)
            try self.require(Set(ids).count == ids.count, "a subscription got an event twice")
        }
    }
}

/// One of many who do what comes to their minds.
private struct RandomActions {
    let bus: any EventBus
    let worker: Int
    let collectors = Recorded<[Collector]>([])

    func run() async throws {
        var generator = SeededGenerator(seed: UInt64(self.worker) + 1)
        var subscriptions: [BusSubscription] = []
        let types = ["a", "b.c", "b.d"]
        for step in 0..<60 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<6:
                try await self.bus.publish(Event(type: types.randomElement(using: &generator) ?? "a"))
            case 6:
                let collector = self.makeCollector()
                subscriptions.append(try await self.bus.subscribe("b.*") { collector.add($0) })
            case 7:
                let collector = self.makeCollector()
                let made = try await self.bus.subscribe(
                    "*", buffer: BusBuffer(size: 4, whenFull: .dropOldest),
                    handler: { (event: Event) async in collector.add(event) })
                subscriptions.append(made)
            case 8:
                subscriptions.randomElement(using: &generator)?.cancel()
            default:
                if self.worker == 0, step > 50 { await self.bus.close() }
            }
        }
    }

    private func makeCollector() -> Collector {
        let collector = Collector()
        self.collectors.withLock { $0.append(collector) }
        return collector
    }
}
