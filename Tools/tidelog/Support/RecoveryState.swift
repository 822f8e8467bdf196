import Synchronization

/// The bytes that a recovery job has done, between its thread and the one that shows them.
final class RecoveryState: Sendable {
    private let done = Atomic<Int>(0)

    var bytes: Int { self.done.load(ordering: .relaxed) }

    func set(_ bytes: Int) { self.done.store(bytes, ordering: .relaxed) }
}
