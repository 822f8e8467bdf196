import Tidelog

extension ConsumersCommand {
    /// One line each, for people.
    static func table(_ all: [ConsumerStatus]) -> Table {
        var table = Table([
            .text("consumer"), .number("offset"), .number("lag"), .text("behind"), .number("in flight"),
            .number("retries"), .number("waiting"), .number("dead letters"), .text("state"),
        ])
        for status in all {
            table.add([
                status.name, Units.count(status.offset.rawValue), Units.count(status.lag),
                status.lag == 0 ? "" : Units.duration(status.lagTime.inSeconds),
                Units.count(status.inFlight), Units.count(status.retries), Units.count(status.waiting),
                Units.count(status.deadLetters), status.state,
            ])
        }
        return table
    }
}

extension ConsumerStatus {
    /// What it does now, in a word.
    fileprivate var state: String {
        if self.isPaused { return "paused" }
        return self.sessions.isEmpty ? "no member" : "running"
    }

    /// For people.
    var facts: Facts {
        var facts = Facts()
        facts.add("consumer", self.name)
        facts.add("state", self.state)
        facts.add("offset", Units.count(self.offset.rawValue))
        facts.add("lag", Units.events(self.lag))
        facts.add("behind", Units.duration(self.lagTime.inSeconds))
        facts.add("rate", "\(Units.decimal(self.rate, 1)) events/s")
        facts.add("in flight", Units.count(self.inFlight))
        facts.add("retries", Units.count(self.retries))
        facts.add("waiting", Units.count(self.waiting))
        facts.add("dead letters", Units.count(self.deadLetters))
        facts.add("delivered", Units.count(self.delivered))
        facts.add("acknowledged", Units.count(self.acknowledged))
        facts.add("last progress", self.lastProgress?.description ?? "never")
        if let failure = self.lastError {
            facts.add("last error", "\(failure.time), position \(failure.position): \(failure.error)")
        }
        facts.add("ordering", "\(self.settings.ordering)")
        for session in self.sessions {
            facts.add(
                "process \(session.processID)",
                "\(session.members) open since \(session.joined), \(Units.count(session.inFlight)) in flight")
        }
        return facts
    }

    /// For programs.
    var json: JSONText {
        [
            "consumer": .string(self.name), "state": .string(self.state), "offset": JSONText(self.offset),
            "lag": .integer(self.lag), "lag_seconds": .number(self.lagTime.inSeconds),
            "rate": .number(self.rate), "in_flight": .integer(self.inFlight),
            "retries": .integer(self.retries), "waiting": .integer(self.waiting),
            "dead_letters": .integer(self.deadLetters), "delivered": .integer(self.delivered),
            "acknowledged": .integer(self.acknowledged), "retried": .integer(self.retried),
            "paused": .boolean(self.isPaused), "last_progress": JSONText(self.lastProgress),
            "last_error": self.lastError.map { failure in
                [
                    "time": JSONText(failure.time), "position": JSONText(failure.position),
                    "error": .string(failure.error),
                ]
            } ?? .null,
            "processes": .array(
                self.sessions.map { session in
                    [
                        "process": .integer(session.processID), "members": .integer(session.members),
                        "since": JSONText(session.joined), "in_flight": .integer(session.inFlight),
                    ]
                }),
        ]
    }
}
