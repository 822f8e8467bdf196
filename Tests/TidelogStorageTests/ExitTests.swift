import Testing

extension Trait where Self == ConditionTrait {
    /// For tests that expect a process of their own to end in some way.
    ///
    /// Under Thread Sanitizer Swift Testing never learns that such a process has ended, and waits for ever.
    static var startsProcesses: Self {
        #if TIDELOG_SANITIZE_THREAD
            .disabled("the test library does not see its processes end under Thread Sanitizer")
        #else
            .enabled(if: true)
        #endif
    }
}
