import Foundation

/// A value behind a lock, to be shared by closures.
final class Recorded<Value: Sendable>: Sendable {
    private let lock = NSLock()
    // SAFETY: reached in `withLock` alone.
    nonisolated(unsafe) private var value: Value

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        self.lock.lock()
        defer { self.lock.unlock() }
        return try body(&self.value)
    }
}
