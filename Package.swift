// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "tidelog",
    products: [
        .library(name: "Tidelog", targets: ["Tidelog"]),
        .library(name: "TidelogTesting", targets: ["TidelogTesting"]),
        .library(name: "TidelogPostgres", targets: ["TidelogPostgres"]),
        .executable(name: "tidelog", targets: ["tidelog-tool"]),
    ],
    // Adapters are off unless asked for: the core needs liblmdb and libzstd alone.
    traits: [
        .default(enabledTraits: []),
        .trait(
            name: "Postgres", description: "PostgreSQL: the exporter, the importer, the store; needs libpq."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    ],
    targets: [
        // The two C libraries of the core, found through pkg-config.
        .systemLibrary(
            name: "CTidelogLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(
            name: "CTidelogZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // Calls of Linux that Swift's Glibc module lacks; headers alone.
        .systemLibrary(name: "CTidelogSystem"),

        // Bytes, checksums, commits; the only door to the two C libraries.
        .target(
            name: "TidelogStorage", dependencies: ["CTidelogLMDB", "CTidelogZstd", "CTidelogSystem"],
            swiftSettings: settings),
        // What an app imports.
        .target(
            name: "Tidelog",
            dependencies: [
                "TidelogStorage",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: settings),
        // What an app's tests import.
        .target(name: "TidelogTesting", dependencies: ["Tidelog"], swiftSettings: settings),

        // PostgreSQL, through libpq. All of it is inside `#if Postgres`.
        .systemLibrary(
            name: "CTidelogPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(
            name: "TidelogPostgres",
            dependencies: [
                "Tidelog", .target(name: "CTidelogPostgres", condition: .when(traits: ["Postgres"])),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: settings),

        // The command-line tool; its binary is called `tidelog`.
        .executableTarget(
            name: "tidelog-tool",
            dependencies: [
                "Tidelog", "TidelogTesting",
                .target(name: "TidelogPostgres", condition: .when(traits: ["Postgres"])),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tools/tidelog", swiftSettings: settings),
        // Calls of the C library that tests let fail; linked into the next one alone.
        .target(name: "CTidelogFaults", path: "Tools/faults", publicHeadersPath: "include"),
        // The child process that crash tests kill.
        .executableTarget(
            name: "torture", dependencies: ["Tidelog", "TidelogStorage", "TidelogTesting", "CTidelogFaults"],
            path: "Tools/torture", swiftSettings: settings),

        .testTarget(
            name: "TidelogStorageTests", dependencies: ["TidelogStorage"], swiftSettings: settings),
        .testTarget(
            name: "TidelogTests", dependencies: ["Tidelog", "TidelogTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "ModelTests", dependencies: ["Tidelog", "TidelogTesting"], swiftSettings: settings
        ),
        .testTarget(
            name: "CrashTests",
            dependencies: ["Tidelog", "TidelogStorage", "TidelogTesting", "torture"],
            swiftSettings: settings),
        .testTarget(
            name: "CompatibilityTests", dependencies: ["Tidelog", "TidelogStorage", "TidelogTesting"],
            resources: [.copy("Fixtures")], swiftSettings: settings),
        .testTarget(
            name: "ToolTests", dependencies: ["Tidelog", "TidelogTesting", "tidelog-tool"],
            swiftSettings: settings),
        .testTarget(
            name: "TidelogPostgresTests",
            dependencies: [
                "Tidelog", "TidelogTesting", "TidelogPostgres",
                .target(name: "tidelog-tool", condition: .when(traits: ["Postgres"])),
            ],
            swiftSettings: settings),
        // Reads the source: sizes, directions of imports, banned calls.
        .testTarget(name: "TidyTests", path: "Tools/tidy", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
