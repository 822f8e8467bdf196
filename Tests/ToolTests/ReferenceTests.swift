import Foundation
import Testing

@Suite("The reference of the command line")
struct ReferenceTests {
    /// What Docs/CommandLine.md says below each heading, under each of the names in it.
    private static func sections() throws -> [String: String] {
        let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Docs/CommandLine.md")
        var sections: [String: String] = [:]
        var names: [String] = []
        for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("#") {
                let title = line.drop { $0 == "#" }
                names = title.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            } else {
                for name in names { sections[name, default: ""] += "\(line)\n" }
            }
        }
        return sections
    }

    /// The commands that a help lists.
    private static func subcommands(_ help: String) -> [String] {
        var isList = false
        return help.split(separator: "\n").compactMap { line -> String? in
            if !line.hasPrefix(" ") { isList = line.hasSuffix("SUBCOMMANDS:") }
            return isList ? line.prefixMatch(of: #/  ([a-z][a-z-]*)/#).map { String($0.1) } : nil
        }
    }

    /// The options that a help lists.
    private static func options(_ help: String) -> [String] {
        let all = help.split(separator: "\n").flatMap { line -> [Substring] in
            let match = line.prefixMatch(of: #/  (?:-[a-z], )?(--[a-z-]+)(?:, (--[a-z-]+))?/#)
            return [match?.1, match?.2].compactMap { $0 }
        }
        return all.map(String.init).filter { $0 != "--version" && $0 != "--help" }
    }

    /// Whether a text has this word, and not only as the beginning of a longer one.
    private static func has(_ word: String, in text: String) -> Bool {
        text.ranges(of: word).contains { range in
            let next = text[range.upperBound...].first ?? " "
            return !next.isLetter && next != "-"
        }
    }

    @Test("has every command, and every option that the command's help lists")
    func commands() throws {
        let sections = try Self.sections()
        let index = try #require(sections["The command line"])
        let filters = try #require(sections["read"])
        let commands = Self.subcommands(try Tool.succeed("--help").output)
        #expect(commands.count > 20)
        for command in commands {
            #expect(Self.has(command, in: index), "the list at the beginning lacks \(command)")
            var section = try #require(sections[command], "no heading names \(command)")
            if section.contains("[the filters of read]") { section += filters }
            var left = [[command]]
            while let words = left.popLast() {
                let help = try Tool.run(words + ["--help"]).output
                for option in Self.options(help) {
                    #expect(Self.has(option, in: section), "\(words) lacks \(option)")
                }
                var below = Self.subcommands(help)
                // The help of import is that of importing a file, which names the other source.
                if words == ["import"], help.contains("`tidelog import postgres`") { below = ["postgres"] }
                for name in below {
                    #expect(Self.has(name, in: section), "\(words) lacks \(name)")
                    left.append(words + [name])
                }
            }
        }
    }

    @Test("has every scenario of the benchmark")
    func scenarios() throws {
        let section = try #require(try Self.sections()["bench"])
        let help = try Tool.succeed("bench", "--help").output.split(whereSeparator: \.isWhitespace)
            .joined(separator: " ")
        let names = try #require(help.firstMatch(of: #/\(values: ([^)]+)\)/#)).1.split(separator: ", ")
        #expect(names.count > 30)
        for name in names where name != "append-CALLERSxBATCH" {
            let documented = name.hasPrefix("append-") ? String(name.dropFirst(7)) : "`\(name)`"
            #expect(section.contains(documented), "\(name)")
        }
    }
}
