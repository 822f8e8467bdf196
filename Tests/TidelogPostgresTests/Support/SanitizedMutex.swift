#if TIDELOG_SANITIZE_THREAD
    import Tidelog

    // The Thread Sanitizer does not see through `Synchronization.Mutex`.
    typealias Mutex = SanitizedMutex
#endif
