import Foundation
import TidelogStorage

/// What an LMDB file holds, as text: no page of it, but every key and value.
///
/// A line `@ NAME integer` or `@ NAME bytes` begins a database. Each entry is a line with its key, a number or
/// in hexadecimal, and then its value in Base64, in lines that begin with a space.
package struct TextDump: Sendable {
    /// A database: its entries in the order of their keys.
    package struct Database: Sendable {
        package var name: String
        /// Whether keys are numbers of eight bytes.
        package var hasIntegerKeys: Bool
        package var entries: [(key: [UInt8], value: [UInt8])] = []
    }

    package var databases: [Database] = []

    /// The databases of a head, and of a sealed segment, and whether their keys are numbers.
    package static let head = [
        ("meta", false), ("frames", true), ("segments", true), ("streams", false), ("dictionaries", true),
        ("records", false),
    ]
    package static let segment = [("blocks", true), ("index", false), ("meta", false)]

    /// What the file at `path` holds.
    package init(reading path: String, _ databases: [(String, Bool)]) throws {
        var options = Environment.Options()
        options.readOnly = true
        options.noLock = true
        options.mapSizeBytes = 1 << 30
        let environment = try Environment(path: path, options: options)
        defer { environment.close() }
        for (name, hasIntegerKeys) in databases {
            var entries: [(key: [UInt8], value: [UInt8])] = []
            let database = try environment.openDatabase(name, integerKeys: hasIntegerKeys, create: false)
            try environment.read { transaction throws(StorageError) in
                try transaction.scan(database, from: .first) { key, value throws(StorageError) in
                    entries.append(([UInt8](key), [UInt8](value)))
                    return true
                }
            }
            self.databases.append(
                Database(name: name, hasIntegerKeys: hasIntegerKeys, entries: entries))
        }
    }

    /// What a text says that ``text`` gave.
    package init(parsing text: String) throws {
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let last = self.databases.count - 1
            if line.hasPrefix("@") {
                let words = line.split(separator: " ")
                guard words.count == 3 else { throw Failure("this is no database: \(line)") }
                self.databases.append(
                    Database(name: String(words[1]), hasIntegerKeys: words[2] == "integer"))
            } else if last >= 0, line.hasPrefix(" ") {
                guard let bytes = Data(base64Encoded: String(line.dropFirst())),
                    let entry = self.databases[last].entries.indices.last
                else { throw Failure("this is no value: \(line)") }
                self.databases[last].entries[entry].value += bytes
            } else if last >= 0 {
                let key = try Self.key(line, isInteger: self.databases[last].hasIntegerKeys)
                self.databases[last].entries.append((key, []))
            }
        }
    }

    private static func key(_ line: Substring, isInteger: Bool) throws -> [UInt8] {
        if isInteger {
            guard let number = UInt64(line) else { throw Failure("this is no number: \(line)") }
            return withUnsafeBytes(of: number) { [UInt8]($0) }
        }
        let digits = line.compactMap(\.hexDigitValue)
        guard digits.count == line.count, digits.count.isMultiple(of: 2) else {
            throw Failure("this is no key: \(line)")
        }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    /// All of it.
    package var text: String {
        var lines: [String] = []
        for database in self.databases {
            lines.append("@ \(database.name) \(database.hasIntegerKeys ? "integer" : "bytes")")
            for (key, value) in database.entries {
                lines.append(
                    database.hasIntegerKeys
                        ? "\(key.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })"
                        : key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
                // Whole lines of 72 bytes, so that each is Base64 for itself.
                for start in stride(from: 0, to: value.count, by: 72) {
                    lines.append(
                        " " + Data(value[start..<min(start + 72, value.count)]).base64EncodedString())
                }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Writes the entries into a new LMDB file at `path`.
    package func write(to path: String) throws {
        var options = Environment.Options()
        options.noLock = true
        options.mapSizeBytes = 1 << 30
        let environment = try Environment(path: path, options: options)
        defer { environment.close() }
        for dumped in self.databases {
            let database = try environment.openDatabase(
                dumped.name, integerKeys: dumped.hasIntegerKeys, create: true)
            try environment.write { transaction throws(StorageError) in
                for (key, value) in dumped.entries {
                    try value.span.bytes.withUnsafeBytes { value throws(StorageError) in
                        if dumped.hasIntegerKeys {
                            let number = key.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
                            try transaction.put(database, key: number, value: value, append: true)
                        } else {
                            try transaction.put(database, key: key, value: value, append: true)
                        }
                    }
                }
            }
        }
    }
}
