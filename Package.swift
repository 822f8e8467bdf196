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
    // What an app links only if it says so: `.package(…, traits: ["Postgres"])`. Plain, the core needs liblmdb and
    // libzstd alone.
    traits: [
        .default(enabledTraits: []),
        .trait(
            name: "ServiceLifecycle", description: "Buses and logs as services of swift-service-lifecycle"),
        .trait(name: "Postgres", description: "PostgreSQL: the exporter and the importer; needs libpq."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // The two C libraries of the core, found through pkg-config.
        .systemLibrary(
            name: "CTidelogLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(
            name: "CTidelogZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // Calls of Linux that Swift's Glibc module lacks; headers alone.
        .systemLibrary(name: "CTidelogSystem"),

        // What the bus needs of a thread: a few words of its own, and barriers.
        .target(name: "CTidelogThread"),

        // Bytes, checksums, commits; the only door to the two C libraries.
        .target(
            name: "TidelogStorage", dependencies: ["CTidelogLMDB", "CTidelogZstd", "CTidelogSystem"],
            swiftSettings: settings),
        // What an app imports.
        .target(
            name: "Tidelog",
            dependencies: [
                "CTidelogThread", "TidelogStorage",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(
                    name: "ServiceLifecycle", package: "swift-service-lifecycle",
                    condition: .when(traits: ["ServiceLifecycle"])),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
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
                .product(name: "CoreMetrics", package: "swift-metrics"),
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

        // The examples of the guides; a test runs them.
        .executableTarget(
            name: "example-event-sourcing", dependencies: ["Tidelog", "TidelogTesting"],
            path: "Docs/Examples/EventSourcing", swiftSettings: settings),
        .executableTarget(
            name: "example-cqrs", dependencies: ["Tidelog", "TidelogTesting"],
            path: "Docs/Examples/CQRS", swiftSettings: settings),
        .executableTarget(
            name: "example-saga", dependencies: ["Tidelog", "TidelogTesting"],
            path: "Docs/Examples/Saga", swiftSettings: settings),
        .executableTarget(
            name: "example-audit-trail", dependencies: ["Tidelog", "TidelogTesting"],
            path: "Docs/Examples/AuditTrail", swiftSettings: settings),
        .executableTarget(
            name: "example-schema-migration", dependencies: ["Tidelog", "TidelogTesting"],
            path: "Docs/Examples/SchemaMigration", swiftSettings: settings),

        .testTarget(
            name: "TidelogStorageTests", dependencies: ["TidelogStorage", "TidelogTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "TidelogTests",
            dependencies: [
                "Tidelog", "TidelogStorage", "TidelogTesting",
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ModelTests", dependencies: ["Tidelog", "TidelogTesting"], swiftSettings: settings
        ),
        .testTarget(
            name: "CrashTests",
            dependencies: ["Tidelog", "TidelogStorage", "TidelogTesting", "torture"],
            swiftSettings: settings),
        .testTarget(
            name: "CompatibilityTests",
            dependencies: ["Tidelog", "TidelogStorage", "TidelogTesting", "torture"],
            resources: [.copy("Fixtures")], swiftSettings: settings),
        .testTarget(
            name: "ToolTests",
            dependencies: [
                "Tidelog", "TidelogStorage", "TidelogTesting", "tidelog-tool", "example-event-sourcing",
                "example-cqrs", "example-saga", "example-audit-trail", "example-schema-migration",
            ],
            swiftSettings: settings),
        // The examples of the documents; each says what it does and checks it.
        .testTarget(
            name: "BusExamples", dependencies: ["Tidelog", "TidelogTesting"], path: "Docs/Examples/Bus",
            swiftSettings: settings),
        .testTarget(
            name: "TidelogPostgresTests",
            dependencies: [
                "Tidelog", "TidelogTesting", "TidelogPostgres",
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .target(name: "tidelog-tool", condition: .when(traits: ["Postgres"])),
            ],
            swiftSettings: settings),
        // Reads the source: sizes, directions of imports, banned calls.
        .testTarget(name: "TidyTests", path: "Tools/tidy", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
