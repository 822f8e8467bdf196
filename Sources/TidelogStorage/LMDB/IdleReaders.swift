import CTidelogLMDB

/// Read transactions that have been reset and wait for their next use: renewing one takes neither memory
/// nor the lock of the reader table. Each keeps its reader slot.
final class IdleReaders: Sendable {
    private static let limit = 8

    /// The handles as numbers: a reset transaction is used by nobody until it is taken, and taken once.
    private let idle = Lock<[UInt]>([])

    /// Takes one out; nil if there is none.
    func take() -> OpaquePointer? {
        self.idle.withLock { $0.popLast() }.flatMap { OpaquePointer(bitPattern: $0) }
    }

    /// Keeps `handle` for later; `false` if there are enough.
    func put(_ handle: OpaquePointer) -> Bool {
        let bits = UInt(bitPattern: handle)
        return self.idle.withLock { idle in
            if idle.count >= Self.limit { return false }
            idle.append(bits)
            return true
        }
    }

    /// Ends them all.
    func endAll() {
        while let handle = self.take() { mdb_txn_abort(handle) }
    }
}
