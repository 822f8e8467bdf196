import ArgumentParser
import Tidelog

/// `tidelog`: the command line of an event log in one directory.
@main
struct Main {
    static func main() async {
        EventLog.serveAsRecoveryChildIfAsked(CommandLine.arguments)
        Signals.prepare()
        do {
            var command = try await Root.asyncParseAsRoot(Self.arguments())
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Ending(error).leave()
        }
    }

    /// What was typed behind the program's name.
    ///
    /// Swift puts replacement characters where an argument is not UTF-8, and another name is not what was
    /// meant. `import --help` tells of the import from a file, which is what `import` does by default.
    private static func arguments() throws(Failure) -> [String] {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[index] else { break }
            if String(validatingCString: argument) == nil {
                throw Failure(
                    .usage,
                    "argument \(index) is not UTF-8; names, ids and paths are: write it in UTF-8, or rename it"
                )
            }
        }
        let arguments = Array(CommandLine.arguments.dropFirst())
        let isHelp = arguments == ["import", "--help"] || arguments == ["import", "-h"]
        return isHelp ? ["help", "import", "import"] : arguments
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
                    Processes.self, Schema.self,
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
