#if Postgres
    import Foundation
    import Synchronization

    @testable import TidelogPostgres

    /// A private server, started by `Tools/scripts/private-postgres`; it ends with this process.
    final class PostgresServer: Sendable {
        /// The directory of its socket.
        let directory: String
        // SAFETY: commands go one at a time, under the lock.
        private let pipes: Mutex<Pipes>

        private struct Pipes {
            var process: Process
            var input: FileHandle
            var output: FileHandle
        }

        /// The server that most tests share, each with a database of its own.
        static let shared = Result { try PostgresServer(["fsync=off", "max_connections=200"]) }

        /// - Parameter prepare: what is done to the server's directory before it starts.
        init(_ settings: [String], prepare: (String) throws -> Void = { _ in }) throws {
            var template = Array("/tmp/tidelog-pg-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
            self.directory = String(cString: made)
            try prepare(self.directory)
            let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "Tools/scripts/private-postgres")
            let process = Process()
            process.executableURL = script
            process.arguments = [self.directory] + settings
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            self.pipes = Mutex(
                Pipes(
                    process: process, input: input.fileHandleForWriting, output: output.fileHandleForReading))
            try self.pipes.withLock { try Self.expect("ready", $0) }
        }

        /// Ends the server and removes its files.
        func end() {
            self.pipes.withLock { pipes in
                try? pipes.input.close()
                pipes.process.waitUntilExit()
            }
            try? FileManager.default.removeItem(atPath: self.directory)
        }

        /// Sends SIGKILL to the server and all of its children.
        func kill() throws { try self.tell("kill", "dead") }

        /// Shuts the server down.
        func stop() throws { try self.tell("stop", "dead") }

        /// Starts it again, and waits until it has recovered.
        func start() throws { try self.tell("start", "ready") }

        /// Sends SIGSTOP to the server and all of its children: connections stand, and nothing answers.
        func freeze() throws { try self.tell("freeze", "frozen") }

        /// Lets it go on.
        func thaw() throws { try self.tell("thaw", "thawed") }

        private func tell(_ command: String, _ answer: String) throws {
            try self.pipes.withLock { pipes in
                try pipes.input.write(contentsOf: Data("\(command)\n".utf8))
                try Self.expect(answer, pipes)
            }
        }

        private static func expect(_ answer: String, _ pipes: Pipes) throws {
            var line = Data()
            while let byte = try pipes.output.read(upToCount: 1), let first = byte.first {
                if first == 0x0A { break }
                line.append(first)
            }
            let said = String(decoding: line, as: UTF8.self)
            if said != answer {
                throw Problem(text: "the server's script said \"\(said)\", not \"\(answer)\"")
            }
        }

        struct Problem: Error { let text: String }

        /// How a database of this server is reached.
        func settings(_ database: String, user: String = "tidelog", more: String = "") -> PostgresSettings {
            PostgresSettings("host=\(self.directory) user=\(user) dbname=\(database) \(more)")
        }

        /// Opens a connection.
        func connect(_ database: String = "postgres", user: String = "tidelog") throws -> PostgresConnection {
            try PostgresConnection.connect(self.settings(database, user: user), switchOff: ConnectionSwitch())
        }

        /// Makes an empty database and answers its name.
        func makeDatabase() throws -> String {
            let name = "t" + UUID().uuidString.lowercased().filter { $0 != "-" }
            try self.connect().execute("CREATE DATABASE \(name)")
            return name
        }

        /// Runs a statement in a database.
        func run(_ statement: String, in database: String) throws {
            try self.connect(database).execute(statement)
        }

        /// The only number that a query answers.
        func number(_ query: String, in database: String) throws -> Int64? {
            var number: Int64?
            try self.connect(database).query(query) { row throws(PostgresError) in number = try row.integer(0)
            }
            return number
        }

        /// The events in the table, as they are read back, in order.
        func events(in database: String, names: PostgresNames = .init(), log: String? = nil) throws
            -> [String]
        {
            var texts: [String] = []
            let connection = try self.connect(database)
            try connection.query(
                "SELECT \(EventColumns.selection) FROM \(names.quoted()) "
                    + (log.map { "WHERE log_id = '\($0)' " } ?? "") + "ORDER BY log_id, position"
            ) { row throws(PostgresError) in texts.append(describe(try connection.decoder.event(row))) }
            return texts
        }
    }
#endif
