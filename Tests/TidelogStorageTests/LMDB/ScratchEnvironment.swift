@testable import TidelogStorage

extension ScratchDirectory {
    /// Opens an environment in the directory, small unless said.
    func open(
        _ name: String = "a.mdb", _ change: (inout Environment.Options) -> Void = { _ in }
    ) throws(StorageError) -> Environment {
        var options = Environment.Options()
        options.mapSizeBytes = 64 << 20
        change(&options)
        return try Environment(path: self.file(name), options: options)
    }
}

extension WriteTransaction {
    /// Stores an array under an integer.
    func put(_ database: Database, _ key: UInt64, _ value: [UInt8]) throws(StorageError) {
        try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try self.put(database, key: key, value: bytes)
        }
    }

    /// Stores an array under an array.
    func put(
        _ database: Database, _ key: [UInt8], _ value: [UInt8], append: Bool = false
    ) throws(StorageError) {
        try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try self.put(database, key: key, value: bytes, append: append)
        }
    }
}

extension StorageTransaction where Self: ~Copyable {
    /// What is stored under an integer, as an array.
    func value(_ database: Database, _ key: UInt64) throws(StorageError) -> [UInt8]? {
        try self.get(database, key: key) { Array($0) }
    }

    /// All integer keys of a scan.
    func integerKeys(
        _ database: Database, from start: CursorStart = .first, _ direction: ScanDirection = .forwards
    ) throws(StorageError) -> [UInt64] {
        var keys: [UInt64] = []
        try self.scan(database, from: start, direction: direction) { key, _ in
            keys.append(key.integerKey)
            return true
        }
        return keys
    }

    /// All keys of a scan.
    func keys(
        _ database: Database, from start: CursorStart = .first, _ direction: ScanDirection = .forwards
    ) throws(StorageError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        try self.scan(database, from: start, direction: direction) { key, _ in
            keys.append(Array(key))
            return true
        }
        return keys
    }
}

/// Random numbers that a seed brings back.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
