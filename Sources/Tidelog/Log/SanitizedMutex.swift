#if TIDELOG_SANITIZE_THREAD
    package import TidelogStorage

    /// What takes the place of `Mutex` in adapters and tools, which see this layer alone, where the Thread Sanitizer
    /// watches: it does not see through `Mutex`.
    package typealias SanitizedMutex = Lock
#endif
