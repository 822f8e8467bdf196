/// A pointer that the bus shares between threads, and whose rules stand where it is kept.
// SAFETY: each use says who may reach what it points to: under a lock, through atomics alone, or never changed.
struct Unguarded<Value>: @unchecked Sendable {
    let value: Value

    @inline(__always)
    init(_ value: Value) { self.value = value }
}
