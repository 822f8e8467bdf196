import ArgumentParser
import Tidelog

struct Projections: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "How the projections stand, and what they hold.",
        discussion: """
            Without a name, all projections: how far each is, how much of the log it has not seen yet, and the \
            event that it stopped at, if it did. With a name, the entries of its live state, in the order of \
            their keys. With --json one object a line.

            Examples:
              tidelog projections shop
              tidelog projections shop sales --prefix total/
              tidelog projections shop sales --key total/FR
              tidelog projections shop sales --delete
            """)

    @OptionGroup var log: LogArgument

    @Argument(help: "A projection, to see its entries.")
    var name: String?

    @Option(help: .init("The entry under this key alone.", valueName: "key"))
    var key: String?

    @Option(help: .init("Entries whose keys begin so.", valueName: "prefix"))
    var prefix = ""

    @Option(help: .init("Entries after this key.", valueName: "key"))
    var after: String?

    @Option(help: .init("At most so many.", valueName: "n"), transform: Parse.atLeast(0))
    var limit: Int?

    @Flag(help: "Delete the projection, its state and its offset.")
    var delete = false

    @OptionGroup var output: ReportOptions

    func validate() throws {
        guard self.name == nil else { return }
        if self.key != nil || !self.prefix.isEmpty || self.after != nil || self.delete {
            throw ValidationError("name the projection that this is about")
        }
    }

    func run() async throws {
        if self.delete, let name {
            let log = try await self.log.openForWriting()
            try await withLog(log) { try await $0.deleteProjection(name) }
            return try report(
                json: self.output.json, ["projection": .string(name), "deleted": .boolean(true)], [])
        }
        let log = try await self.log.openForReading()
        try await withLog(log) { log in
            guard let name else { return try await self.showAll(log) }
            guard try await log.projection(name).status() != nil else {
                throw Failure(
                    .unmet, "there is no projection \"\(name)\"; `tidelog projections LOG` lists them")
            }
            try await self.showEntries(log.projection(name))
        }
    }

    private func showAll(_ log: EventLog) async throws {
        let all = try await log.projections()
        if self.output.json {
            for status in all { try show(status.json.line) }
            return
        }
        var table = Table([
            .text("projection"), .number("version"), .number("next position"), .number("behind"),
            .text("last progress"), .text("state"),
        ])
        for status in all {
            let problem = status.failure.map { failure in
                let type = failure.type.isEmpty ? "" : " (\(failure.type))"
                return "stopped at \(failure.position)\(type): \(failure.message)"
            }
            table.add([
                status.name, "\(status.version)", Units.count(status.next.rawValue), Units.count(status.lag),
                status.updatedAt?.description ?? "",
                problem ?? status.building.map { "is rebuilt, at \($0)" } ?? "",
            ])
        }
        if !all.isEmpty { try show(table.lines) }
    }

    private func showEntries(_ reader: ProjectionReader) async throws {
        let output = LineOutput()
        if let key {
            guard let value = try await reader.value(key) else {
                throw Failure(.unmet, "there is no key \"\(key)\" in projection \"\(reader.name)\"")
            }
            try self.write(key, value, output)
            return try output.flush()
        }
        var last = self.after
        var remaining = self.limit ?? .max
        while remaining > 0 {
            let page = try await reader.entries(
                prefix: self.prefix, after: last, limit: min(remaining, 1000))
            for entry in page { try self.write(entry.key, entry.value, output) }
            remaining -= page.count
            guard let end = page.last, page.count == 1000 else { break }
            last = end.key
        }
        try output.flush()
    }

    private func write(_ key: String, _ value: ProjectionValue, _ output: LineOutput) throws {
        if self.output.json {
            let object: JSONText = ["key": .string(key), "value": value.json]
            return try output.write(line: object.line)
        }
        let text =
            switch value {
            case .integer(let number): "\(number)"
            case .json(let bytes): String(decoding: bytes, as: UTF8.self)
            case .bytes(let bytes):
                String(validating: bytes, as: UTF8.self) ?? "\(bytes.count) bytes"
            }
        try output.write(line: TerminalText.escape("\(key)  \(text)"))
    }
}

extension ProjectionStatus {
    /// For programs.
    var json: JSONText {
        let failure: JSONText =
            self.failure.map {
                [
                    "position": JSONText($0.position), "id": .string($0.eventID.description),
                    "type": .string($0.type), "message": .string($0.message),
                ]
            } ?? .null
        return [
            "projection": .string(self.name), "version": .integer(Int(self.version)),
            "next_position": JSONText(self.next), "lag": .unsigned(self.lag),
            "applied": .unsigned(self.applied), "updated_at": JSONText(self.updatedAt), "failure": failure,
            "rebuild_position": self.building.map { JSONText($0) } ?? .null,
        ]
    }
}

extension ProjectionValue {
    /// For programs: numbers and JSON as they are, bytes as text where they are, else in Base64.
    var json: JSONText {
        switch self {
        case .integer(let value): return .integer(Int(value))
        case .json(let bytes):
            return (try? JSONValue(bytes)).map { JSONText($0) } ?? .null
        case .bytes(let bytes):
            if let text = String(validating: bytes, as: UTF8.self) { return .string(text) }
            var text: [UInt8] = []
            bytes.withUnsafeBytes { Base64.append($0, to: &text) }
            return ["base64": .string(String(decoding: text, as: UTF8.self))]
        }
    }
}
