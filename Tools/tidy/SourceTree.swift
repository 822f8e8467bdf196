import Foundation
import Testing

/// The checkout that this file was compiled from, as the tidy tests see it.
///
/// It needs no git: hidden folders, build folders and symbolic links are left out, and so it works on a clean
/// clone, on an unpacked archive and on a tree full of build products alike.
enum SourceTree {
    /// The checkout's root folder.
    static let root: URL = {
        var folder = URL(filePath: #filePath)
        for _ in 0..<3 { folder.deleteLastPathComponent() }
        return folder
    }()

    /// Every file, by its path from the root, sorted.
    static let files: [String] = {
        let prefix = root.path().count
        let keys: [URLResourceKey] = [.isRegularFileKey]
        let walk = FileManager.default.enumerator(
            at: root, includingPropertiesForKeys: keys, options: [.skipsHiddenFiles])
        var found: [String] = []
        while let url = walk?.nextObject() as? URL {
            guard (try? url.resourceValues(forKeys: Set(keys)))?.isRegularFile == true else { continue }
            found.append(String(url.path(percentEncoded: false).dropFirst(prefix)))
        }
        return found.sorted()
    }()

    /// The Swift files, read and stripped once.
    static let swiftFiles: [SourceFile] = files.filter { $0.hasSuffix(".swift") }.map(SourceFile.init)

    /// The Swift files under one of `folders`.
    static func swiftFiles(in folders: String...) -> [SourceFile] {
        swiftFiles.filter { file in folders.contains { file.path.hasPrefix($0 + "/") } }
    }

    /// The text of the file at `path`, which must be there and UTF-8.
    static func text(_ path: String) -> String {
        do {
            return try String(contentsOf: root.appending(path: path), encoding: .utf8)
        } catch {
            Issue.record("\(path): cannot be read as UTF-8: \(error)")
            return ""
        }
    }

    /// Whether `path`, from the root, is a file or a folder.
    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path(percentEncoded: false))
    }
}

/// One Swift file, with its text as written and with comments and literals blanked out.
struct SourceFile: Sendable {
    /// From the root: `Sources/Tidelog/Log/EventLog.swift`.
    let path: String
    /// The lines as written.
    let lines: [Substring]
    /// The same lines, in which comments and the insides of literals are spaces.
    let code: [Substring]

    init(path: String) {
        self.init(path: path, text: SourceTree.text(path))
    }

    init(path: String, text: String) {
        self.path = path
        self.lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        self.code = blanked(text).split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// Where line `index` (from 0) is, in the form that editors understand.
    func place(_ index: Int) -> String { "\(path):\(index + 1)" }

    /// The places at which `expression` occurs in code, comments and literals aside.
    func places(of expression: some RegexComponent) -> [String] {
        code.indices.filter { code[$0].contains(expression) }.map(place)
    }

    /// The modules that this file imports, with the line of each.
    var imports: [(module: String, line: Int)] {
        code.indices.compactMap { index in
            let words = code[index].split(separator: " ")
            guard let keyword = words.firstIndex(of: "import"),
                words[..<keyword].allSatisfy({ $0.hasPrefix("@") || modifiers.contains(String($0)) })
            else { return nil }
            let named = words[(keyword + 1)...].first { !declarationKinds.contains(String($0)) }
            guard let module = named?.split(separator: ".").first else { return nil }
            return (String(module), index)
        }
    }
}

/// What may stand before `import`, attributes aside.
private let modifiers: Set<String> = ["public", "package", "internal", "fileprivate", "private"]

/// What may stand between `import` and a qualified name.
private let declarationKinds: Set<String> = [
    "struct", "class", "enum", "protocol", "typealias", "func", "let", "var",
]

/// Fails with the list of `places` that break a rule, each on a line of its own.
func expectNone(_ places: [String], _ rule: String, sourceLocation: SourceLocation = #_sourceLocation) {
    guard !places.isEmpty else { return }
    Issue.record("\(rule)\n\(places.joined(separator: "\n"))", sourceLocation: sourceLocation)
}
