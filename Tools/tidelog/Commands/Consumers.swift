import ArgumentParser
import Tidelog

struct ConsumersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consumers",
        abstract: "See and control durable consumers, also while they run.",
        discussion: """
            Examples:
              tidelog consumers list shop
              tidelog consumers show shop billing
              tidelog consumers reset shop billing --to 1000
              tidelog consumers pause shop billing
            """,
        subcommands: [
            List.self, Show.self, Create.self, Reset.self, Pause.self, Resume.self, Rename.self, Clone.self,
            Delete.self,
        ])

    /// A consumer of a log.
    struct Target: ParsableArguments {
        @OptionGroup var log: LogArgument

        @Argument(help: "The consumer.")
        var name: String

        /// Runs `body` on the log, and says plainly what is missing.
        func change(_ body: (Consumers) async throws -> Void) async throws {
            let log = try await self.log.openForWriting()
            try await withLog(log) { log in
                try await withKnownConsumer(self.name) { try await body(log.consumers) }
            }
        }

        /// Runs `body` on the log; for programs, tells how the consumer stands then, by its new name if it has one.
        func change(
            _ output: ReportOptions, newName: String? = nil, _ body: (Consumers) async throws -> Void
        ) async throws {
            try await self.change { consumers in
                try await body(consumers)
                guard output.json, let status = try await consumers.status(of: newName ?? self.name) else {
                    return
                }
                try report(json: true, status.json, [])
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the consumers.",
            discussion: """
                Examples:
                  tidelog consumers list shop
                  tidelog consumers list shop --json
                """)

        @OptionGroup var log: LogArgument
        @OptionGroup var output: ReportOptions

        func run() async throws {
            let log = try await self.log.openForReading()
            try await withLog(log) { log in
                let all = try await log.consumers.list()
                try report(
                    json: self.output.json, ["consumers": .array(all.map(\.json))],
                    ConsumersCommand.table(all).lines)
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how a consumer stands.",
            discussion: """
                Examples:
                  tidelog consumers show shop billing
                """)

        @OptionGroup var target: Target
        @OptionGroup var output: ReportOptions

        func run() async throws {
            let log = try await self.target.log.openForReading()
            try await withLog(log) { log in
                guard let status = try await log.consumers.status(of: self.target.name) else {
                    throw Failure(.unmet, unknownConsumer(self.target.name))
                }
                try report(json: self.output.json, status.json, status.facts.lines)
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a consumer, to be opened by an app or by tail.",
            discussion: """
                Examples:
                  tidelog consumers create shop billing --type 'order.>' --from end
                """)

        @OptionGroup var target: Target

        @Option(
            help: .init("Where it begins.", valueName: "n|beginning|end|time"), transform: Parse.consumerStart
        )
        var from: ConsumerStart = .beginning

        @OptionGroup(title: "Which events") var filter: FilterOptions
        @OptionGroup var output: ReportOptions

        func run() async throws {
            var settings = ConsumerSettings()
            settings.filter = self.filter.query
            settings.start = self.from
            try await self.target.change(self.output) { [settings] consumers in
                guard try await consumers.create(self.target.name, settings: settings) else {
                    throw Failure(
                        .unmet, "there is a consumer '\(self.target.name)' already; choose another name")
                }
            }
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Move a consumer to a position, a time, the beginning or the end.",
            discussion: """
                What is in flight or waits for a retry is forgotten; dead letters stay.

                Examples:
                  tidelog consumers reset shop billing --to beginning
                  tidelog consumers reset shop billing --to 2h
                """)

        @OptionGroup var target: Target

        @Option(
            help: .init("Where it goes on.", valueName: "n|beginning|end|time"),
            transform: Parse.consumerStart)
        var to: ConsumerStart

        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change(self.output) { try await $0.seek(self.target.name, to: self.to) }
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a consumer's deliveries.",
            discussion: """
                Examples:
                  tidelog consumers pause shop billing
                """)

        @OptionGroup var target: Target
        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change(self.output) { try await $0.pause(self.target.name) }
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a consumer's deliveries go on.",
            discussion: """
                Examples:
                  tidelog consumers resume shop billing
                """)

        @OptionGroup var target: Target
        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change(self.output) { try await $0.resume(self.target.name) }
        }
    }

    struct Rename: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a consumer another name.",
            discussion: """
                Examples:
                  tidelog consumers rename shop billing invoices
                """)

        @OptionGroup var target: Target

        @Argument(help: "The new name.")
        var newName: String

        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change(self.output, newName: self.newName) {
                try await $0.rename(self.target.name, to: self.newName)
            }
        }
    }

    struct Clone: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a consumer under a new name that begins where this one stands.",
            discussion: """
                Examples:
                  tidelog consumers clone shop billing billing-test
                """)

        @OptionGroup var target: Target

        @Argument(help: "The new name.")
        var newName: String

        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change(self.output, newName: self.newName) {
                try await $0.clone(self.target.name, as: self.newName)
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a consumer, its offset and its dead letters.",
            discussion: """
                Examples:
                  tidelog consumers delete shop billing
                """)

        @OptionGroup var target: Target
        @OptionGroup var output: ReportOptions

        func run() async throws {
            try await self.target.change { try await $0.delete(self.target.name) }
            try report(
                json: self.output.json,
                ["consumer": .string(self.target.name), "deleted": .boolean(true)], [])
        }
    }
}

func unknownConsumer(_ name: String) -> String {
    "there is no consumer '\(name)'; `tidelog consumers list` shows those that there are"
}

/// Runs `body`; an unknown consumer is a thing asked for that is not there.
func withKnownConsumer<Value>(_ name: String, _ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch EventLogError.Code.notFound {
        throw Failure(.unmet, unknownConsumer(name))
    } catch let error as EventLogError where error.code == .alreadyExists {
        throw Failure(.unmet, error.message)
    }
}

extension Parse {
    /// A position, `beginning`, `end`, or a time as elsewhere.
    @Sendable static func consumerStart(_ text: String) throws -> ConsumerStart {
        switch text {
        case "beginning": return .beginning
        case "end": return .end
        default:
            if let position = Position(text) { return .position(position) }
            do {
                return .time(try Self.timestamp(text))
            } catch {
                throw ValidationError("write a position, beginning, end, or a time as 2013-01-01 or 2h")
            }
        }
    }
}
