import Foundation

/// Where the random numbers of a test come from.
package enum TestSeed {
    /// A seed for `what`, printed: the one that the environment variable TIDELOG_SEED says, to repeat a
    /// failure, or a new one.
    package static func draw(for what: String) -> UInt64 {
        let said = ProcessInfo.processInfo.environment["TIDELOG_SEED"].flatMap { UInt64($0) }
        let seed = said ?? .random(in: 0 ... .max)
        print("\(what): TIDELOG_SEED=\(seed)")
        return seed
    }
}
