import CTidelogLMDB
import Synchronization

/// Read transactions that have been reset and wait for their next use: renewing one takes neither memory
/// nor the lock of the reader table. Each keeps its reader slot.
final class IdleReaders: Sendable {
    private static let limit = 8

    // Handles are kept as numbers: a reset transaction is used by nobody until it is taken, and taken once.
    /// The one that ended last, which most often is all there is; 0 for none.
    private let latest = Atomic<UInt>(0)
    private let others = Lock<[UInt]>([])

    /// Takes one out; nil if there is none.
    @inline(__always)
    func take() -> OpaquePointer? {
        OpaquePointer(bitPattern: self.latest.exchange(0, ordering: .acquiring)) ?? self.takeOther()
    }

    private func takeOther() -> OpaquePointer? {
        self.others.withLock { $0.popLast() }.flatMap { OpaquePointer(bitPattern: $0) }
    }

    /// Keeps `handle` for later; `false` if there are enough.
    @inline(__always)
    func put(_ handle: OpaquePointer) -> Bool {
        let bits = UInt(bitPattern: handle)
        let (stored, _) = self.latest.compareExchange(expected: 0, desired: bits, ordering: .releasing)
        return stored || self.putOther(bits)
    }

    private func putOther(_ bits: UInt) -> Bool {
        self.others.withLock { others in
            if others.count >= Self.limit { return false }
            others.append(bits)
            return true
        }
    }

    /// Ends them all.
    func endAll() {
        while let handle = self.take() { mdb_txn_abort(handle) }
    }
}
