import Tidelog

/// What publishers may expect.
extension BusConformance {
    static var publisherPromises: [Promise] {
        [
            Promise("an event without a type, or with one that is too long, is refused", needsDelivery: false)
            {
                try await $0.types()
            },
            Promise("of several events with one that is not valid, none is published", needsDelivery: false) {
                try await $0.severalWithOneInvalid()
            },
            Promise("a cancelled task publishes nothing") { try await $0.cancelledTask() },
            Promise("health counts what is published, delivered and subscribed", needsDelivery: false) {
                try await $0.health()
            },
            Promise("an error that is published tells its kind, message, source and metadata") {
                try await $0.errors()
            },
            Promise("nobody needs to listen", needsDelivery: false) { suite in
                try await suite.withBus { bus in
                    for _ in 0..<100 { try await bus.publish(Event(type: "nobody.listens")) }
                    try await bus.publish([Event]())
                }
            },
        ]
    }

    private func types() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("*") { collector.add($0) }
            try await self.requireError(.invalidEvent, "an event without a type") {
                try await bus.publish(Event(type: ""))
            }
            let long = String(repeating: "x", count: 256)
            try await self.requireError(.invalidEvent, "a type of 256 bytes") {
                try await bus.publish(Event(type: long))
            }
            try await bus.publish(Event(type: String(repeating: "x", count: 255)))
            if self.delivers {
                try await self.eventually("the valid one arrives") { collector.count == 1 }
            }
        }
    }

    private func severalWithOneInvalid() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("*") { collector.add($0) }
            try await self.requireError(.invalidEvent, "several events, one of them without a type") {
                try await bus.publish([Event(type: "a"), Event(type: ""), Event(type: "b")])
            }
            let published = await bus.health.published
            try self.require(published == 0, "\(published) were published")
            try await bus.publish(Event(type: "end"))
            if self.delivers {
                try await self.eventually("a later one arrives") { collector.count >= 1 }
                try self.require(collector.types == ["end"], "it got \(collector.types)")
            }
        }
    }

    private func cancelledTask() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("*") { collector.add($0) }
            let publisher = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await self.requireError(.cancelled, "publishing in a cancelled task") {
                    try await bus.publish(Event(type: "a"))
                }
                try await self.requireError(.cancelled, "publishing several in a cancelled task") {
                    try await bus.publish([Event(type: "a"), Event(type: "b")])
                }
            }
            try await publisher.value
            try await bus.publish(Event(type: "end"))
            try await self.eventually("a later one arrives") { collector.count >= 1 }
            try self.require(collector.types == ["end"], "it got \(collector.types)")
        }
    }

    private func health() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("a") { collector.add($0) }
            try await bus.subscribe("a") { collector.add($0) }
            for _ in 0..<10 { try await bus.publish(Event(type: "a")) }
            let health = await bus.health
            try self.require(health.status == .healthy, "the status is \(health.status)")
            try self.require(health.published == 10, "published: \(health.published), not 10")
            try self.require(health.subscribers == 2, "subscribers: \(health.subscribers), not 2")
            if self.delivers {
                try await self.eventually("20 deliveries are counted") { await bus.health.delivered == 20 }
            }
            await bus.close()
            let status = await bus.health.status
            try self.require(status == .closed, "the status of a closed bus is \(status)")
        }
    }

    private func errors() async throws {
        try await self.withBus { bus in
            let collector = Collector()
            try await bus.subscribe("error") { collector.add($0) }
            let event = try await bus.publishError(
                Refusal(), source: "billing", metadata: ["request_id": "r-7"])
            try await self.eventually("it arrives") { collector.count == 1 }
            let got = collector.events[0]
            try self.require(got == event && got.isOf(.error), "it arrived as another event: \(got)")
            try self.require(got.source == "billing", "the source is \(got.source ?? "missing")")
            try self.require(got.metadata.requestID == "r-7", "the metadata are \(got.metadata)")
            let payload = try EventMetadata(json: got.payload.bytes)
            try self.require(
                payload["message"] == "this handler always throws"
                    && payload["kind"]?.string?.hasSuffix("Refusal") == true, "the payload is \(payload)")
        }
    }
}
