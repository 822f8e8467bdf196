import Tidelog

/// What subscribers get.
extension BusConformance {
    static var deliveryPromises: [Promise] {
        [
            Promise("an event arrives whole, with every field that it was given") {
                try await $0.wholeness()
            },
            Promise("every subscription gets every event") { try await $0.fanOut() },
            Promise("patterns select types") { try await $0.patterns() },
            Promise("each subscription gets a publisher's events in order") { try await $0.order() },
            Promise("large payloads arrive byte for byte") { try await $0.largePayloads() },
            Promise("many publishers at once: nothing is lost or repeated, each one's order is kept") {
                try await $0.concurrency()
            },
            Promise("a slow subscriber gets everything, and others are not held up by it") {
                try await $0.slowness()
            },
            Promise("an effect carries its cause and the correlation through the bus") {
                try await $0.causation()
            },
        ]
    }

    private func wholeness() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("*") { collector.add($0) }
            let event = Event(
                id: "an id that is no UUID", type: "order.placed", stream: "order-42",
                payload: .init(bytes: [0, 255, 10], contentType: "application/octet-stream"),
                metadata: [
                    "user_id": "u-1", "tenant_id": "t-1", "request_id": "r-1", "trace_id": "x-1",
                    "count": 3, "ratio": 0.5, "beta": true, "nothing": nil,
                    "cart": ["items": [1, "two", ["three": 3]]],
                ],
                timestamp: Timestamp(nanosecondsSinceEpoch: 1_700_000_000_123_456_789), source: "shop",
                correlationID: .generate(), causationID: "cause", schemaVersion: 7)
            try await bus.publish(event)
            try await self.eventually("the event arrives") { collector.count == 1 }
            try self.require(
                collector.events == [event], "expected \(event) as it was, and got \(collector.events)")
            try self.require(
                collector.events[0].metadata == event.metadata,
                "expected metadata \(event.metadata), got \(collector.events[0].metadata)")
        }
    }

    private func fanOut() async throws {
        try await self.withBus { bus in
            let collectors = (0..<12).map { _ in Collector() }
            for (index, collector) in collectors.enumerated() {
                if index.isMultiple(of: 2) {
                    try await bus.subscribe("a") { collector.add($0) }
                } else {
                    try await bus.subscribe("a", handler: { (event: Event) async in collector.add(event) })
                }
            }
            let events = (0..<50).map { _ in Event(type: "a") }
            for event in events { try await bus.publish(event) }
            for collector in collectors {
                try await self.eventually("all 50 events arrive") { collector.count >= 50 }
                try self.require(
                    collector.events == events, "a subscription got other events, or in another order")
            }
        }
    }

    private func patterns() async throws {
        try await self.withBus { bus in
            let types = [
                "order", "order.placed", "order.placed.late", "payment.failed", "billing.payment.failed",
            ]
            let expected: [(TypePattern, Set<Int>)] = [
                ("order", [0]), ("order.placed", [1]), ("order.*", [1]), ("order.>", [1, 2]),
                ("*.failed", [3]), ("*.*.failed", [4]), ("*", [0, 1, 2, 3, 4]), (">", [0, 1, 2, 3, 4]),
                ("order.*.late", [2]), ("*.>", [1, 2, 3, 4]), ("orders.*", []),
            ]
            var collectors: [Collector] = []
            for (pattern, _) in expected {
                let collector = Collector()
                collectors.append(collector)
                try await bus.subscribe(pattern) { collector.add($0) }
            }
            let last = Collector()
            try await bus.subscribe("end") { last.add($0) }
            for type in types { try await bus.publish(Event(type: type)) }
            for ((pattern, indexes), collector) in zip(expected, collectors) {
                try await self.eventually("\(pattern) gets its events") { collector.count >= indexes.count }
            }
            try await bus.publish(Event(type: "end"))
            try await self.eventually("the last event arrives") { last.count == 1 }
            for ((pattern, indexes), collector) in zip(expected, collectors) {
                let wanted = indexes.sorted().map { types[$0] }
                let got = collector.types.filter { $0 != "end" }
                try self.require(got == wanted, "\(pattern) should get \(wanted) and got \(got)")
            }
        }
    }

    private func order() async throws {
        try await self.withBus { bus in
            let plain = Collector()
            let async = Collector()
            let read = Collector()
            try await bus.subscribe("n.*") { plain.add($0) }
            try await bus.subscribe("n.*", handler: { (event: Event) async in async.add(event) })
            let stream = try await bus.events("n.*")
            let reader = Task { for try await event in stream { read.add(event) } }
            let events = (0..<1000).map { Event(type: "n.\($0 % 7)") }
            for event in events[..<500] { try await bus.publish(event) }
            try await bus.publish(Array(events[500...]))
            for (collector, name) in [(plain, "handler"), (async, "async handler"), (read, "sequence")] {
                try await self.eventually("the \(name) gets all") { collector.count >= events.count }
                try self.require(collector.events == events, "the \(name) got them in another order")
            }
            reader.cancel()
            _ = await reader.result
        }
    }

    private func largePayloads() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("large") { collector.add($0) }
            var generator = SeededGenerator(seed: 7)
            let bytes = (0..<1 << 20).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            try await bus.publish(Event(type: "large", bytes: bytes))
            try await self.eventually("the event arrives") { collector.count == 1 }
            try self.require(Array(collector.events[0].payload.bytes) == bytes, "the payload was changed")
        }
    }

    private func concurrency() async throws {
        try await self.withBus { bus in
            let publishers = 8
            let each = 250
            let plain = Collector()
            let async = Collector()
            try await bus.subscribe("*") { plain.add($0) }
            try await bus.subscribe("p.>", handler: { (event: Event) async in async.add(event) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                for publisher in 0..<publishers {
                    group.addTask {
                        for number in 0..<each {
                            try await bus.publish(
                                Event(id: EventID("\(publisher)/\(number)"), type: "p.\(publisher).n"))
                        }
                    }
                }
                try await group.waitForAll()
            }
            for collector in [plain, async] {
                try await self.eventually("all events arrive") { collector.count >= publishers * each }
                for publisher in 0..<publishers {
                    let got = collector.events.filter { $0.type == "p.\(publisher).n" }.map(\.id.description)
                    try self.require(
                        got == (0..<each).map { "\(publisher)/\($0)" },
                        "publisher \(publisher): lost, repeated or in another order")
                }
            }
        }
    }

    private func slowness() async throws {
        try await self.withBus { bus in
            let slow = Collector()
            let quick = Collector()
            let buffer = BusBuffer(size: 2)
            try await bus.subscribe(
                "*", buffer: buffer,
                handler: { (event: Event) async throws in
                    try await Task.sleep(for: .milliseconds(1))
                    slow.add(event)
                })
            try await bus.subscribe("*", handler: { (event: Event) async in quick.add(event) })
            let events = (0..<40).map { _ in Event(type: "a") }
            for event in events { try await bus.publish(event) }
            try await self.eventually("the quick one gets all") { quick.count == events.count }
            try await self.eventually("the slow one gets all") { slow.count == events.count }
            try self.require(slow.events == events && quick.events == events, "events were lost or reordered")
        }
    }

    private func causation() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("order.paid") { collector.add($0) }
            try await bus.subscribe(
                "order.placed", handler: { try await bus.publish(Event(type: "order.paid").caused(by: $0)) })
            let placed = Event(type: "order.placed").withCorrelation("c-1")
            try await bus.publish(placed)
            try await self.eventually("the effect arrives") { collector.count == 1 }
            let paid = collector.events[0]
            try self.require(
                paid.correlationID == "c-1" && paid.causationID == placed.id,
                "correlation \(String(describing: paid.correlationID)), causation "
                    + "\(String(describing: paid.causationID))")
        }
    }
}
