import TidelogStorage

/// What cancels a subscription.
public final class BusSubscription: Sendable {
    /// What it is subscribed to.
    public let pattern: TypePattern
    private let action: Lock<(@Sendable () -> Void)?>

    /// A subscription that `cancel` ends; for authors of buses.
    public init(pattern: TypePattern, cancel: @escaping @Sendable () -> Void) {
        self.pattern = pattern
        self.action = Lock(cancel)
    }

    /// Ends the subscription. Once this has returned, no call of the handler begins; one that is under way
    /// on another thread runs to its end. A second call does nothing.
    ///
    /// What waits for an asynchronous handler is dropped. It may be called from within the handler.
    public func cancel() {
        let action = self.action.withLock { action in
            defer { action = nil }
            return action
        }
        action?()
    }
}
