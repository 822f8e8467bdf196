// swift-tools-version: 6.1
import PackageDescription

// The benchmarks, a package of its own: nothing here is needed to build or test Tidelog.

/// How the package manager names the package in the directory above: it goes by the directory.
let host = String(Context.packageDirectory.split(separator: "/").dropLast().last ?? "tidelog").lowercased()

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The codecs are visible inside Tidelog's own package alone, and this is another one.
let lookingInside: [SwiftSetting] = settings + [.unsafeFlags(["-Xfrontend", "-disable-access-control"])]

let benchmark: Target.Dependency = .product(name: "Benchmark", package: "benchmark")
let plugin: Target.PluginUsage = .plugin(name: "BenchmarkPlugin", package: "benchmark")
let tidelog: Target.Dependency = .product(name: "Tidelog", package: host)
let testing: Target.Dependency = .product(name: "TidelogTesting", package: host)

let package = Package(
    name: "tidelog-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(path: ".."),
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.0", traits: []),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        // The same events in SQLite, read through Swift: what the owned replay is measured beside.
        .target(
            name: "SQLitePeer", dependencies: [.product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: settings),
        // The same as a peer of Benchmarks/run.
        .executableTarget(name: "sqlite-grdb", dependencies: ["SQLitePeer"], swiftSettings: settings),

        // What store-run measures beside SQLite and PostgreSQL in C, with SQLite through GRDB.
        .executableTarget(
            name: "store", dependencies: [tidelog, .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: settings),

        // What bus-run measures beside Go.
        .executableTarget(
            name: "bus", dependencies: [tidelog], path: "Sources/bus", swiftSettings: settings),

        .executableTarget(
            name: "CodecBenchmarks", dependencies: [benchmark, tidelog, testing],
            path: "Benchmarks/CodecBenchmarks", swiftSettings: lookingInside, plugins: [plugin]),
        .executableTarget(
            name: "AppendBenchmarks", dependencies: [benchmark, tidelog, testing],
            path: "Benchmarks/AppendBenchmarks", swiftSettings: settings, plugins: [plugin]),
        .executableTarget(
            name: "BusBenchmarks", dependencies: [benchmark, tidelog],
            path: "Benchmarks/BusBenchmarks", swiftSettings: settings, plugins: [plugin]),
        .executableTarget(
            name: "ReplayBenchmarks", dependencies: [benchmark, tidelog, testing, "SQLitePeer"],
            path: "Benchmarks/ReplayBenchmarks", swiftSettings: settings, plugins: [plugin]),
    ],
    swiftLanguageModes: [.v6]
)
