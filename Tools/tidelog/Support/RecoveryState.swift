import Synchronization

/// How far a recovery job has come, between its thread and the one that shows it.
final class RecoveryState: Sendable {
    private let done = Atomic<Int>(0)
    private let total = Atomic<Int>(0)

    var bytesDone: Int { self.done.load(ordering: .relaxed) }

    /// For people: `12.3 MB of 64.0 MB`.
    func describe(_ bytes: Int) -> String {
        let total = self.total.load(ordering: .relaxed)
        return Units.bytes(bytes) + (total >= bytes && total > 1 ? " of \(Units.bytes(total))" : "")
    }

    func set(_ bytes: Int, of total: Int) {
        self.done.store(bytes, ordering: .relaxed)
        self.total.store(total, ordering: .relaxed)
    }
}
