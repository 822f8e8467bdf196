import Foundation
import Testing

@Suite("Documents and files")
struct DocumentTests {
    @Test("every relative link in a document leads to a file, and its anchor to a heading")
    func links() {
        var broken: [String] = []
        for path in SourceTree.files where path.hasSuffix(".md") {
            for (target, line) in relativeLinks(in: SourceTree.text(path)) {
                let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let name = parts[0].removingPercentEncoding ?? String(parts[0])
                let file = name.isEmpty ? path : resolve(name, from: path)
                if !SourceTree.exists(file) {
                    broken.append("\(path):\(line): \(target): there is no \(file)")
                } else if parts.count == 2, file.hasSuffix(".md"),
                    !anchors(in: SourceTree.text(file)).contains(String(parts[1]))
                {
                    broken.append("\(path):\(line): \(target): \(file) has no such heading")
                }
            }
        }
        expectNone(broken, "These links are broken:")
    }

    @Test("the Swift of the README and of the guide stands in a test that runs it")
    func examples() {
        let compiled = Set(
            SourceTree.text("Tests/TidelogTests/DocumentationTests.swift").split(separator: "\n").map(essence)
        )
        var broken: [String] = []
        for path in ["README.md", "Docs/Guide.md"] {
            var isSwift = false
            for (index, line) in SourceTree.text(path).split(
                separator: "\n", omittingEmptySubsequences: false
            ).enumerated() {
                if line.hasPrefix("```") {
                    isSwift = line == "```swift"
                } else if isSwift, !essence(line).isEmpty, !compiled.contains(essence(line)) {
                    broken.append("\(path):\(index + 1): \(line)")
                }
            }
        }
        expectNone(broken, "Add these lines to DocumentationTests.swift, or correct them:")
    }

    @Test("every test that the page on reliability names is there")
    func namedTests() {
        let tests = SourceTree.swiftFiles(in: "Tests").map { SourceTree.text($0.path) }.joined()
        var broken: [String] = []
        for line in SourceTree.text("Docs/Reliability.md").split(separator: "\n") where line.hasPrefix("|") {
            for match in line.matches(of: #/\*([^*]+)\*/#) where !tests.contains("\"\(match.1)\"") {
                broken.append(String(match.1))
            }
        }
        expectNone(broken, "Docs/Reliability.md names tests that do not exist:")
    }

    /// A line of code without its indentation and its comment, and with a log's own place.
    private func essence(_ line: Substring) -> String {
        var code = line.replacing("\"farm.tidelog\"", with: "folder.log")
        if let comment = code.firstRange(of: "//") { code = code[..<comment.lowerBound] }
        return code.trimmingCharacters(in: .whitespaces)
    }

    @Test("build products and resolved versions are ignored by git")
    func ignored() {
        let lines = Set(SourceTree.text(".gitignore").split(separator: "\n"))
        for line in [".build/", ".build-*/", "Package.resolved"] {
            #expect(lines.contains(Substring(line)), ".gitignore must hold the line \(line)")
        }
    }

    @Test("no build product and no resolved version is tracked", .enabled(if: SourceTree.exists(".git")))
    func tracked() throws {
        let git = Process()
        git.executableURL = URL(filePath: "/usr/bin/env")
        git.arguments = ["git", "-c", "safe.directory=*", "-C", SourceTree.root.path(), "ls-files", "-z"]
        let output = Pipe()
        git.standardOutput = output
        git.standardInput = FileHandle.nullDevice
        try git.run()
        let listed = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        try #require(git.terminationStatus == 0, "git ls-files failed")
        let broken = String(decoding: listed, as: UTF8.self).split(separator: "\0").filter { path in
            path.split(separator: "/").contains {
                $0 == ".build" || $0.hasPrefix(".build-") || $0 == "Package.resolved"
            }
        }
        expectNone(broken.map(String.init), "Remove these with `git rm --cached`:")
    }

    @Test("every script can be run and says by what")
    func scripts() {
        var broken: [String] = []
        for path in SourceTree.files where path.hasPrefix("Tools/scripts/") && !path.hasSuffix(".txt") {
            let file = SourceTree.root.appending(path: path).path(percentEncoded: false)
            if !FileManager.default.isExecutableFile(atPath: file) {
                broken.append("\(path): not executable")
            }
            if !SourceTree.text(path).hasPrefix("#!/usr/bin/env ") { broken.append("\(path):1: no #! line") }
        }
        expectNone(broken, "These scripts cannot be run as they are:")
    }

    @Test("the sample data is small CloudEvents in the order of time, with causes that come first")
    func sampleData() throws {
        struct Line: Decodable {
            let specversion, id, source, type, time, correlationid: String
            let subject, causationid: String?
        }
        let path = "Docs/Examples/data/flights-sample.ndjson"
        let text = SourceTree.text(path)
        #expect(text.utf8.count <= 300_000)
        let decoder = JSONDecoder()
        let events = try text.split(separator: "\n").map {
            try decoder.decode(Line.self, from: Data($0.utf8))
        }
        #expect(events.count > 500)
        var seen: Set<String> = []
        var last = ""
        for event in events {
            #expect(event.specversion == "1.0" && event.source == "nycflights13")
            #expect(event.time >= last, "\(event.id) is earlier than the line before it")
            last = event.time
            #expect(seen.insert(event.id).inserted, "\(event.id) is there twice")
            if let cause = event.causationid { #expect(seen.contains(cause), "\(cause) comes too late") }
        }
        let types = Set(events.map(\.type))
        #expect(types == ["flight.departed", "flight.arrived", "flight.cancelled"])
    }

    /// The targets of links that are neither addresses nor symbols, with their lines; code is left out.
    private func relativeLinks(in text: String) -> [(target: String, line: Int)] {
        var found: [(String, Int)] = []
        for (number, line) in proseLines(of: text) {
            let prose = line.replacing(#/`[^`]*`/#, with: "")
            let inline = prose.matches(of: #/\]\(\s*<?([^)>\s]+)/#).map { String($0.1) }
            let named = prose.matches(of: #/^\s*\[[^\]^]+\]:\s+(\S+)/#).map { String($0.1) }
            for target in inline + named where !target.contains(#/^[a-z][a-z0-9+.\-]*:/#) {
                found.append((target, number))
            }
        }
        return found
    }

    /// The lines outside fenced code, with their numbers from 1.
    private func proseLines(of text: String) -> [(Int, Substring)] {
        var isCode = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap {
            let isFence = $0.element.contains(#/^\s*(```|~~~)/#)
            if isFence { isCode.toggle() }
            return isCode || isFence ? nil : ($0.offset + 1, $0.element)
        }
    }

    /// The anchors that the headings of a document have on GitHub.
    private func anchors(in text: String) -> Set<String> {
        var anchors: Set<String> = []
        for (_, line) in proseLines(of: text) {
            guard let heading = line.wholeMatch(of: #/#{1,6}\s+(.*?)\s*#*/#)?.1 else { continue }
            let kept = heading.lowercased().filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
            let slug = kept.replacing(" ", with: "-")
            var anchor = slug
            var repeats = 0
            while !anchors.insert(anchor).inserted {
                repeats += 1
                anchor = "\(slug)-\(repeats)"
            }
        }
        return anchors
    }

    private func resolve(_ name: String, from document: String) -> String {
        var parts = document.split(separator: "/").dropLast().map(String.init)
        for part in name.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
        }
        return parts.joined(separator: "/")
    }
}
