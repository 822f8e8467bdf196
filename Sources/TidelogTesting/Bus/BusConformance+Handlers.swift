import Tidelog

/// What handlers may do, and what becomes of those that fail.
extension BusConformance {
    static var handlerPromises: [Promise] {
        [
            Promise(
                "a handler that throws is isolated: others get the event, the failure is offered and counted"
            ) {
                try await $0.isolation()
            },
            Promise("a handler that always throws goes on getting events") { try await $0.throwingAlways() },
            Promise("a cancelled subscription gets nothing more") { try await $0.cancelling() },
            Promise("a handler may cancel its own subscription") { try await $0.cancellingFromWithin() },
            Promise("a handler may publish and subscribe") { try await $0.actingFromWithin() },
            Promise("letting go of a sequence cancels it") { try await $0.abandonedSequence() },
            Promise("topics and counts follow the subscriptions", needsDelivery: false) {
                try await $0.counting()
            },
        ]
    }

    private func isolation() async throws {
        try await self.withBus { bus in
            let before = Collector()
            let after = Collector()
            let failed = Collector()
            let failures = bus.failures
            let listener = Task {
                for await failure in failures where failure.error is Refusal {
                    guard failure.pattern == "a" || failure.pattern == "*" else { continue }
                    failed.add(failure.event)
                }
            }
            try await bus.subscribe("a") { before.add($0) }
            try await bus.subscribe("a") { _ in throw Refusal() }
            try await bus.subscribe("*", handler: { (_: Event) async throws in throw Refusal() })
            try await bus.subscribe("a") { after.add($0) }
            let event = Event(type: "a")
            try await bus.publish(event)
            try await self.eventually("those before and after it get the event") {
                before.count == 1 && after.count == 1
            }
            try await self.eventually("both failures are offered") { failed.count == 2 }
            try self.require(failed.events == [event, event], "the failures tell of another event")
            try await self.eventually("both failures are counted") { await bus.health.failed == 2 }
            listener.cancel()
        }
    }

    private func throwingAlways() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("a") { event in
                collector.add(event)
                throw Refusal()
            }
            for _ in 0..<300 { try await bus.publish(Event(type: "a")) }
            try await self.eventually("all 300 arrive") { collector.count == 300 }
            try await self.eventually("all 300 failures are counted") { await bus.health.failed == 300 }
        }
    }

    private func cancelling() async throws {
        try await self.withBus { bus in
            let cancelled = Collector()
            let other = Collector()
            let subscription = try await bus.subscribe("a") { cancelled.add($0) }
            try await bus.subscribe("a") { other.add($0) }
            try await bus.publish(Event(type: "a"))
            try await self.eventually("both get the first event") { cancelled.count == 1 && other.count == 1 }
            subscription.cancel()
            subscription.cancel()
            for _ in 0..<20 { try await bus.publish(Event(type: "a")) }
            try await self.eventually("the other one gets the rest") { other.count == 21 }
            try self.require(cancelled.count == 1, "the cancelled one got \(cancelled.count - 1) more")
        }
    }

    private func cancellingFromWithin() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            let last = Collector()
            let subscription = Recorded<BusSubscription?>(nil)
            let made = try await bus.subscribe("a") { event in
                collector.add(event)
                subscription.withLock { $0 }?.cancel()
            }
            subscription.withLock { $0 = made }
            try await bus.subscribe("a") { last.add($0) }
            for _ in 0..<5 { try await bus.publish(Event(type: "a")) }
            try await self.eventually("the other one gets all") { last.count == 5 }
            try self.require(collector.count == 1, "it got \(collector.count) events, and should get 1")
        }
    }

    private func actingFromWithin() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            let late = Collector()
            try await bus.subscribe("b") { collector.add($0) }
            try await bus.subscribe(
                "a",
                handler: { event in
                    try await bus.subscribe("b") { late.add($0) }
                    for _ in 0..<10 { try await bus.publish(Event(type: "b").caused(by: event)) }
                })
            try await bus.publish(Event(type: "a"))
            try await self.eventually("what it published arrives") { collector.count == 10 }
            try await self.eventually("what it subscribed to arrives") { late.count == 10 }
        }
    }

    private func abandonedSequence() async throws {
        try await self.withBus { bus in
            let count = bus.subscriberCount
            do {
                let stream = try await bus.events("a")
                try self.require(bus.subscriberCount == count + 1, "a sequence is no subscription")
                _ = stream
            }
            try await self.eventually("it is gone") { bus.subscriberCount == count }
            for _ in 0..<2000 { try await bus.publish(Event(type: "a")) }
        }
    }

    private func counting() async throws {
        try await self.withBus { bus in
            try self.require(bus.subscriberCount == 0 && bus.topics.isEmpty, "a new bus has subscriptions")
            let first = try await bus.subscribe("a.*") { _ in }
            let second = try await bus.subscribe("a.b") { _ in }
            let third = try await bus.subscribe("a.*", handler: { (_: Event) async in })
            try self.require(bus.topics == ["a.*", "a.b"], "topics are \(bus.topics)")
            try self.require(bus.subscriberCount == 3, "there are \(bus.subscriberCount), not 3")
            try self.require(bus.subscriberCount(of: "a.b") == 3, "of a.b: \(bus.subscriberCount(of: "a.b"))")
            try self.require(bus.subscriberCount(of: "a.c") == 2, "of a.c: \(bus.subscriberCount(of: "a.c"))")
            try self.require(bus.subscriberCount(of: "b") == 0, "of b: \(bus.subscriberCount(of: "b"))")
            first.cancel()
            third.cancel()
            try self.require(bus.topics == ["a.b"], "topics are \(bus.topics)")
            second.cancel()
            try self.require(bus.subscriberCount == 0, "cancelled subscriptions are counted")
        }
    }
}
