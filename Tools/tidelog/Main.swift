import ArgumentParser
import Tidelog

/// `tidelog`: the command line of an event log in one directory.
@main
struct Main {
    static func main() async {
        EventLog.serveAsRecoveryChildIfAsked(CommandLine.arguments)
        Signals.prepare()
        do {
            var command = try await Root.asyncParseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Ending(error).leave()
        }
    }
}

/// The command `tidelog` itself, which has nothing but subcommands.
struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tidelog",
        abstract: "An event log that lives in one directory.",
        usage: "tidelog COMMAND LOG …",
        discussion: """
            LOG is the log's directory. `tidelog COMMAND --help` shows options and examples.

            Exit status: 0 done; 1 the thing checked does not hold (damage found, an expectation failed); \
            2 the command line is wrong; 3 could not run (no such log, no access, locked, disk full).

            Completion: tidelog --generate-completion-script bash|zsh|fish
            """,
        version: toolVersion,
        groupedSubcommands: [
            CommandGroup(
                name: "Writing",
                subcommands: [Init.self, Self.importing, Append.self, Truncate.self, Delete.self]),
            CommandGroup(name: "Reading", subcommands: [Read.self, Tail.self, Export.self]),
            CommandGroup(
                name: "Looking",
                subcommands: [
                    Stats.self, Segments.self, Streams.self, Stream.self, State.self, Projections.self,
                    Schema.self,
                ]),
            CommandGroup(
                name: "Subscriptions", subcommands: [ConsumersCommand.self, DeadLettersCommand.self]),
            CommandGroup(name: "Keeping", subcommands: [Seal.self, Compact.self, Retain.self]),
            CommandGroup(
                name: "Safety",
                subcommands: [
                    Verify.self, RepairCommand.self, Backup.self, RestoreCommand.self,
                ]),
            CommandGroup(name: "Measuring", subcommands: Self.measuring),
        ])

    private static var measuring: [any ParsableCommand.Type] {
        #if Postgres
            return [Bench.self, BenchPostgres.self]
        #else
            return [Bench.self]
        #endif
    }

    private static var importing: any ParsableCommand.Type {
        #if Postgres
            ImportGroup.self
        #else
            Import.self
        #endif
    }
}

/// The version that `tidelog --version` prints.
let toolVersion = "0.1.0"
