/// Whether this build looks for faults of memory or of threads while it runs.
///
/// It then takes memory of its own, and a test that measures a process's memory would measure that.
package enum Sanitizer {
    #if TIDELOG_SANITIZE_THREAD || TIDELOG_SANITIZE_ADDRESS
        package static let isOn = true
    #else
        package static let isOn = false
    #endif
}
