import Testing

/// What of this package each folder may import. Layers point downwards only.
private let allowedOwnModules: [String: Set<String>] = [
    "Sources/TidelogStorage": ["CTidelogLMDB", "CTidelogZstd", "CTidelogSystem"],
    "Sources/Tidelog": ["TidelogStorage", "CTidelogThread"],
    "Sources/TidelogTesting": ["Tidelog"],
    "Tools/tidelog": ["Tidelog", "TidelogTesting", "TidelogPostgres"],
    "Tools/torture": ["Tidelog", "TidelogStorage", "TidelogTesting", "CTidelogFaults"],
    "Tools/tidy": [],
]

/// The folders that may import each C module of the core; an adapter's module belongs to the adapter.
private let ownersOfCModules = [
    "CTidelogLMDB": ["Sources/TidelogStorage/LMDB/"],
    "CTidelogZstd": ["Sources/TidelogStorage/Compression/"],
    "CTidelogThread": ["Sources/Tidelog/Bus/"],
    "CTidelogSystem": ["Sources/TidelogStorage/Concurrency/", "Sources/TidelogStorage/Files/"],
    "CTidelogFaults": ["Tools/torture/"],
]

/// What the storage layer may import from outside. Foundation would cost start-up time, size and speed.
private let allowedInStorage: Set<String> = ["Glibc", "Musl", "Darwin", "Android", "Synchronization"]

@Suite("Imports")
struct ImportTests {
    @Test("layers point downwards only")
    func layers() {
        var broken: [String] = []
        for file in SourceTree.swiftFiles(in: "Sources", "Tools") {
            let folder = file.path.split(separator: "/").prefix(2).joined(separator: "/")
            let module = folder.split(separator: "/").last ?? ""
            // A folder under Sources that is not in the table is an adapter: it sees the front door only.
            let allowed = allowedOwnModules[folder] ?? ["Tidelog", "C\(module)"]
            for (imported, line) in file.imports where isOwn(imported) && !allowed.contains(imported) {
                broken.append("\(file.place(line)): \(folder) imports \(imported)")
            }
        }
        expectNone(broken, "These imports point upwards or past a layer:")
    }

    @Test("each C library has one door")
    func doors() {
        var broken: [String] = []
        for file in SourceTree.swiftFiles {
            for (imported, line) in file.imports where imported.hasPrefix("CTidelog") {
                let owners = ownersOfCModules[imported] ?? ["Sources/\(imported.dropFirst())/"]
                if !owners.contains(where: file.path.hasPrefix) {
                    let allowed = owners.joined(separator: " and ")
                    broken.append("\(file.place(line)): \(imported) may be imported in \(allowed) only")
                }
            }
        }
        expectNone(broken, "These imports of C modules stand outside their owner:")
    }

    @Test("the storage layer imports nothing from outside but the C library and Synchronization")
    func storage() {
        var broken: [String] = []
        for file in SourceTree.swiftFiles(in: "Sources/TidelogStorage") {
            for (imported, line) in file.imports
            where !isOwn(imported) && !allowedInStorage.contains(imported) {
                broken.append("\(file.place(line)): \(imported)")
            }
        }
        expectNone(broken, "TidelogStorage must not import these:")
    }

    @Test("no module is exported again by another")
    func exports() {
        let broken = SourceTree.swiftFiles.flatMap { $0.places(of: #/@_exported\b/#) }
        expectNone(broken, "A user imports what a user needs; write a plain import at these places:")
    }

    private func isOwn(_ module: String) -> Bool {
        module.hasPrefix("Tidelog") || module.hasPrefix("CTidelog")
    }
}
