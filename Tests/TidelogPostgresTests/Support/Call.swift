#if Postgres
    import Synchronization
    import Tidelog

    @testable import TidelogPostgres

    /// A call that runs by itself, so that one that hangs fails a test and does not hold it up.
    final class Call: Sendable {
        private let ended = Mutex<(error: (any Error)?, after: Duration)?>(nil)

        init(_ body: @escaping @Sendable () async throws -> Void) {
            let began = ContinuousClock.now
            Task {
                var failure: (any Error)?
                do { try await body() } catch { failure = error }
                self.ended.withLock { [failure] in $0 = (failure, ContinuousClock.now - began) }
            }
        }

        /// What it threw, once it has ended.
        var error: (any Error)? { self.ended.withLock { $0?.error } }
        /// The code of that.
        var code: EventLogError.Code? { self.error.map { ($0 as? EventLogError)?.code ?? .inputOutput } }
        var isOver: Bool { self.ended.withLock { $0 != nil } }
        var duration: Duration? { self.ended.withLock { $0?.after } }
    }
#endif
