import Testing

/// The most lines that a Swift file may have, and the most columns that a line may have.
private let maximumLines = 500
private let maximumColumns = 120

/// `nonisolated(unsafe)` and `@unchecked Sendable` together must be fewer than this in Sources and Tools.
private let unsafeMarksLimit = 12

/// Files that may call `fatalError`; what only a bug can do is otherwise a `precondition`.
private let filesWithFatalError: Set<String> = [
    // They promise to end the process with a message, also in a release build.
    "Sources/Tidelog/Bus/EventBus+Errors.swift", "Sources/Tidelog/Event/TypePattern.swift",
]

@Suite("Sources")
struct SourceTests {
    @Test("the tree is there: a manifest, sources and tests were found")
    func treeIsThere() {
        #expect(SourceTree.exists("Package.swift"), "no Package.swift in \(SourceTree.root.path())")
        #expect(!SourceTree.swiftFiles(in: "Sources").isEmpty)
        #expect(!SourceTree.swiftFiles(in: "Tests").isEmpty)
        #expect(!SourceTree.swiftFiles(in: "Tools").isEmpty)
    }

    @Test("no Swift file is longer than 500 lines")
    func lengths() {
        let broken = SourceTree.swiftFiles.filter { $0.lines.count - 1 > maximumLines }
        expectNone(
            broken.map { "\($0.path):\(maximumLines + 1): \($0.lines.count - 1) lines" },
            "Split these files by concept:")
    }

    @Test("no line is longer than 120 columns or holds a tab")
    func columns() {
        var broken: [String] = []
        for path in SourceTree.files where path.hasSuffix(".swift") || path.hasPrefix("Tools/scripts/") {
            for (index, line) in numberedLines(of: path) {
                // A row of a table in a documentation comment cannot be broken.
                let isTable = line.contains(#/^\s*///? \|/#)
                if line.count > maximumColumns, !isTable {
                    broken.append("\(path):\(index): \(line.count) columns")
                }
                if line.contains("\t") { broken.append("\(path):\(index): a tab") }
            }
        }
        expectNone(broken, "Break these lines, and indent with spaces:")
    }

    @Test("nothing is tried by force")
    func forcedTries() {
        let broken = SourceTree.swiftFiles.flatMap { $0.places(of: #/\btry!/#) }
        expectNone(broken, "Let these errors out, or handle them:")
    }

    @Test("fatalError is called in no file that is not on the list")
    func fatalErrors() {
        let broken = SourceTree.swiftFiles(in: "Sources", "Tools", "Tests")
            .filter { !filesWithFatalError.contains($0.path) }
            .flatMap { $0.places(of: #/\bfatalError\s*\(/#) }
        expectNone(broken, "Throw what the world can do; `precondition` what only a bug can do:")
        let unused = filesWithFatalError.filter { path in
            !SourceTree.swiftFiles.contains { $0.path == path && !$0.places(of: #/\bfatalError\b/#).isEmpty }
        }
        expectNone(unused.sorted(), "Take these off the list in SourceTests.swift:")
    }

    @Test("each mark of unchecked safety says why it is safe, and there are few")
    func unsafeMarks() {
        let mark = #/nonisolated\s*\(\s*unsafe\s*\)|@unchecked\s+Sendable/#
        var all: [String] = []
        var unexplained: [String] = []
        for file in SourceTree.swiftFiles(in: "Sources", "Tools") {
            for index in file.code.indices where file.code[index].contains(mark) {
                all.append(file.place(index))
                let above = file.lines[max(0, index - 3)...index]
                if !above.contains(where: { $0.contains("SAFETY:") }) {
                    unexplained.append(file.place(index))
                }
            }
        }
        expectNone(unexplained, "Add a SAFETY: comment in the three lines above each of these:")
        if all.count >= unsafeMarksLimit {
            expectNone(all, "There must be fewer than \(unsafeMarksLimit) marks, and there are \(all.count):")
        }
    }

    @Test("LMDB is never asked for what loses commits or what its versions do wrong")
    func bannedFlags() {
        // Several values under a key had bugs after 0.9.24; the others trade the file's integrity for speed.
        let banned =
            #/\bMDB_(DUPSORT|DUPFIXED|INTEGERDUP|REVERSEDUP|WRITEMAP|MAPASYNC|NOMETASYNC|FIXEDMAP)\b/#
        let broken = SourceTree.swiftFiles.filter { $0.path != "Tools/tidy/SourceTests.swift" }
            .flatMap { $0.places(of: banned) }
        expectNone(broken, "Do without these flags:")
    }

    @Test("no database of LMDB is dropped or emptied at once")
    func drops() {
        // Handles of a dropped database mean nothing any more, also in other threads, and one huge deletion slows
        // the transactions after it.
        let broken = SourceTree.swiftFiles.filter { $0.path != "Tools/tidy/SourceTests.swift" }
            .flatMap { $0.places(of: #/\bmdb_drop\b/#) }
        expectNone(broken, "Delete in slices (WriteTransaction.deleteRange), and keep the database:")
    }

    @Test("the library prints nothing")
    func prints() {
        // A test that draws random numbers says with which seed it can be repeated.
        let seeds = "Sources/TidelogTesting/Generator/TestSeed.swift"
        let broken = SourceTree.swiftFiles(in: "Sources").filter { $0.path != seeds }.flatMap {
            $0.places(of: #/(^|[^.\w])(print|debugPrint|dump)\s*\(/#)
        }
        expectNone(broken, "Throw, return or log instead of printing:")
    }

    @Test("nothing is left to be done later")
    func leftovers() {
        let words = ["TO" + "DO", "FIX" + "ME"]
        var broken: [String] = []
        for path in SourceTree.files where isText(path) {
            for (index, line) in numberedLines(of: path)
            where words.contains(where: { line.contains($0) }) {
                broken.append("\(path):\(index)")
            }
        }
        expectNone(broken, "Do these now, or file an issue and take them out:")
    }

    @Test("every test has a name in words")
    func testNames() {
        var broken: [String] = []
        for file in SourceTree.swiftFiles {
            for index in file.code.indices {
                for mark in file.code[index].ranges(of: #/@Test\b/#) {
                    let after = file.code[index][mark.upperBound...] + file.code[(index + 1)...].joined()
                    if !after.starts(with: #/\s*\(\s*#*"[^"]/#) { broken.append(file.place(index)) }
                }
            }
        }
        expectNone(broken, "Say what each test promises, as in @Test(\"a closed log refuses appends\"):")
    }

    private func numberedLines(of path: String) -> [(Int, Substring)] {
        let lines = SourceTree.text(path).split(separator: "\n", omittingEmptySubsequences: false)
        return lines.enumerated().map { ($0.offset + 1, $0.element) }
    }

    private func isText(_ path: String) -> Bool {
        path.hasPrefix("Tools/scripts/")
            || [".swift", ".md", ".h", ".modulemap", "Makefile"].contains(where: path.hasSuffix)
    }
}
