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

    /// Ends the subscription. No event whose publishing begins after this has returned reaches the handler. One
    /// that another thread is publishing meanwhile may still do so, and a call that is under way runs to its end.
    /// A second call does nothing.
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
