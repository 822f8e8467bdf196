import Synchronization

/// What handlers of the examples saw, to be looked at from the test.
final class Collected<Value: Sendable>: Sendable {
    private let state = Mutex<[Value]>([])

    var values: [Value] { self.state.withLock { $0 } }

    func append(_ value: Value) { self.state.withLock { $0.append(value) } }
}
