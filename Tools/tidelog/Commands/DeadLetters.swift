import ArgumentParser
import Tidelog

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "See events that a consumer gave up on, retry or drop them.",
        discussion: """
            Examples:
              tidelog dead-letters list shop billing
              tidelog dead-letters show shop billing 1047
              tidelog dead-letters retry shop billing --at 1047
              tidelog dead-letters drop shop billing
            """,
        subcommands: [List.self, Show.self, Retry.self, Drop.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List a consumer's dead letters.",
            discussion: """
                Examples:
                  tidelog dead-letters list shop billing --limit 20
                """)

        @OptionGroup var target: ConsumersCommand.Target

        @Option(help: .init("Begin at this position.", valueName: "n"))
        var from: Position = .zero

        @Option(help: .init("At most so many.", valueName: "n"), transform: Parse.atLeast(0))
        var limit: Int = 1000

        @OptionGroup var output: ReportOptions

        func run() async throws {
            let log = try await self.target.log.openForReading()
            try await withLog(log) { log in
                let letters = try await withKnownConsumer(self.target.name) {
                    try await log.consumers.deadLetters(
                        of: self.target.name, from: self.from, limit: self.limit)
                }
                var table = Table([
                    .number("position"), .text("type"), .text("stream"), .number("deliveries"), .text("time"),
                    .text("reason"),
                ])
                for letter in letters {
                    table.add([
                        Units.count(letter.position.rawValue), letter.event?.type ?? "(gone)",
                        letter.event?.stream ?? "", Units.count(letter.deliveries), letter.time.description,
                        letter.reason,
                    ])
                }
                try report(
                    json: self.output.json, ["dead_letters": .array(letters.map(\.json))], table.lines)
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a dead letter with every attempt.",
            discussion: """
                Examples:
                  tidelog dead-letters show shop billing 1047
                """)

        @OptionGroup var target: ConsumersCommand.Target

        @Argument(help: "The event's position.")
        var position: Position

        @OptionGroup var output: ReportOptions

        func run() async throws {
            let log = try await self.target.log.openForReading()
            try await withLog(log) { log in
                let letters = try await withKnownConsumer(self.target.name) {
                    try await log.consumers.deadLetters(of: self.target.name, from: self.position, limit: 1)
                }
                guard let letter = letters.first, letter.position == self.position else {
                    throw Failure(.unmet, "there is no dead letter at position \(self.position)")
                }
                var facts = Facts()
                facts.add("position", Units.count(letter.position.rawValue))
                facts.add("event", letter.event.map { "\($0.event)" } ?? "(gone)")
                facts.add("given up", letter.time.description)
                facts.add("reason", letter.reason)
                facts.add("deliveries", Units.count(letter.deliveries))
                for attempt in letter.attempts { facts.add("\(attempt.time)", attempt.error) }
                try report(json: self.output.json, letter.json, facts.lines)
            }
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deliver dead letters again.",
            discussion: """
                Examples:
                  tidelog dead-letters retry shop billing
                  tidelog dead-letters retry shop billing --at 1047
                """)

        @OptionGroup var target: ConsumersCommand.Target

        @Option(help: .init("The event at this position only.", valueName: "n"))
        var at: Position?

        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change { consumers in
                let count = try await consumers.retryDeadLetters(of: self.target.name, at: self.at)
                try report(
                    json: self.output.json, ["retried": .integer(count)],
                    ["\(Units.events(count)) will be delivered again"])
            }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Drop dead letters for good; the events stay in the log.",
            discussion: """
                Examples:
                  tidelog dead-letters drop shop billing --at 1047
                """)

        @OptionGroup var target: ConsumersCommand.Target

        @Option(help: .init("The event at this position only.", valueName: "n"))
        var at: Position?

        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change { consumers in
                let count = try await consumers.dropDeadLetters(of: self.target.name, at: self.at)
                try report(
                    json: self.output.json, ["dropped": .integer(count)],
                    ["\(count) dead letter\(count == 1 ? "" : "s") dropped"])
            }
        }
    }
}

extension DeadLetter {
    /// For programs.
    fileprivate var json: JSONText {
        [
            "position": JSONText(self.position), "id": JSONText(self.event?.id.description),
            "type": JSONText(self.event?.type), "stream": JSONText(self.event?.stream),
            "deliveries": .integer(self.deliveries), "time": JSONText(self.time),
            "reason": .string(self.reason),
            "attempts": .array(
                self.attempts.map { ["time": JSONText($0.time), "error": .string($0.error)] }),
        ]
    }
}
