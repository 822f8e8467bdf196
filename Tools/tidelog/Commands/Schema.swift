import ArgumentParser
import Foundation
import Tidelog

struct Schema: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The schemas of event types: list, register, check.",
        discussion: """
            Without further options, what is registered. --register reads a JSON Schema (a subset of draft \
            2020-12) from a file or, with -, from standard input; the version must go together with its \
            neighbours as --compatibility says. --mode and --compatibility are settings of the type. --check \
            looks at the events that are in the log, and exits with 1 if one does not fit.

            Examples:
              tidelog schema shop
              tidelog schema shop order.placed --register order-2.json --schema-version 2
              tidelog schema shop order.placed --mode warn
              tidelog schema shop order.placed --compatibility full
              tidelog schema shop order.placed --check
            """)

    /// What happens to events that do not fit.
    enum Mode: String, ExpressibleByArgument, CaseIterable {
        case off, warn, enforce

        var mode: SchemaMode {
            switch self {
            case .off: .off
            case .warn: .warn
            case .enforce: .enforce
            }
        }
    }

    /// How versions must go together.
    enum Compatibility: String, ExpressibleByArgument, CaseIterable {
        case none, backward, forward, full

        var compatibility: SchemaCompatibility {
            switch self {
            case .none: .none
            case .backward: .backward
            case .forward: .forward
            case .full: .full
            }
        }
    }

    @OptionGroup var log: LogArgument

    @Argument(help: "An event type.")
    var type: String?

    @Option(help: .init("Register this file's schema, or standard input's with -.", valueName: "file"))
    var register: String?

    @Option(help: .init("The schema version that it is for.", valueName: "n"), transform: Parse.atLeast(0))
    var schemaVersion = 1

    @Option(help: "What happens to events of the type that do not fit.")
    var mode: Mode?

    @Option(help: "How the versions of the type must go together.")
    var compatibility: Compatibility?

    @Flag(help: "Check the events of the type that are in the log.")
    var check = false

    @OptionGroup var output: ReportOptions

    func validate() throws {
        if self.type == nil,
            self.register != nil || self.mode != nil || self.compatibility != nil || self.check
        {
            throw ValidationError("name the event type that this is about")
        }
        if self.schemaVersion > Int(UInt32.max) { throw ValidationError("there is no such version") }
    }

    func run() async throws {
        guard let type else { return try await self.list(nil) }
        if self.register != nil || self.mode != nil || self.compatibility != nil {
            let schema = try self.register.map { try JSONSchema(Self.read($0)) }
            let log = try await self.log.openForWriting()
            try await withLog(log) { log in
                if let compatibility {
                    try await log.schemas.setCompatibility(compatibility.compatibility, for: type)
                }
                if let schema {
                    try await log.schemas.register(schema, for: type, version: UInt32(self.schemaVersion))
                }
                if let mode { try await log.schemas.setMode(mode.mode, for: type) }
            }
        }
        if self.check { return try await self.checkEvents(type) }
        try await self.list(type)
    }

    private static func read(_ path: String) throws -> String {
        let data: Data?
        if path == "-" {
            data = try FileHandle.standardInput.readToEnd()
        } else {
            guard let found = FileManager.default.contents(atPath: path) else {
                throw Failure(.unable, "\(path) cannot be read; check the path")
            }
            data = found
        }
        guard let text = String(data: data ?? Data(), encoding: .utf8) else {
            throw Failure(.unable, "\(path) is not UTF-8")
        }
        return text
    }

    private func list(_ type: String?) async throws {
        let log = try await self.log.openForReading()
        let all = try await withLog(log) { try await $0.schemas.registered() }
        let wanted = all.filter { type == nil || $0.type == type }
        if self.output.json {
            for schema in wanted { try show(schema.json.line) }
            return
        }
        var table = Table([
            .text("type"), .number("version"), .text("mode"), .text("compatibility"), .text("schema"),
        ])
        for schema in wanted {
            table.add([
                schema.type, "\(schema.version)", schema.mode.description, schema.compatibility.description,
                schema.schema?.text ?? "Swift type \(schema.typeName ?? "")",
            ])
        }
        if !wanted.isEmpty { try show(table.lines) }
    }

    private func checkEvents(_ type: String) async throws {
        let pattern = try Parse.pattern(type)
        let log = try await self.log.openForReading()
        let (count, bad, first) = try await withLog(log) { log in
            var count = 0
            var bad = 0
            var first: String?
            for try await stored in log.read(.types(pattern)) {
                count += 1
                guard let problem = try log.schemas.violation(in: stored.event) else { continue }
                bad += 1
                if first == nil { first = "position \(stored.position): \(problem)" }
            }
            return (count, bad, first)
        }
        try report(
            json: self.output.json,
            ["events": .integer(count), "misfits": .integer(bad), "first": JSONText(first)],
            first == nil ? ["\(Units.count(count)) events, all of them fit"] : [])
        guard let first else { return }
        throw Failure(
            .unmet, "\(Units.count(bad)) of \(Units.count(count)) events do not fit; the first at \(first)")
    }
}

extension RegisteredSchema {
    /// For programs.
    var json: JSONText {
        [
            "type": .string(self.type), "version": .integer(Int(self.version)),
            "mode": .string(self.mode.description), "compatibility": .string(self.compatibility.description),
            "schema": self.schema.flatMap { try? JSONValue($0.text.utf8) }.map { JSONText($0) } ?? .null,
            "swift_type": JSONText(self.typeName),
        ]
    }
}
