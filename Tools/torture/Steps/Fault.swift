import CTidelogFaults

/// What happens at one of a process's calls that change files.
package struct Fault: Sendable {
    package enum Action: Int32, Sendable {
        /// Nothing; calls are counted.
        case count
        /// SIGKILL before the call.
        case kill
        /// SIGSTOP before the call.
        case stop
        /// The call fails once, with ``Fault/error``.
        case fail
        /// Half of a write, then SIGKILL.
        case tear
        /// From this call on the disk is full.
        case full
        /// SIGSTOP behind the call.
        case stopAfter
    }

    package var action = Action.count
    package var step = 0
    package var error: Int32 = 0

    package init() {}

    package init(_ action: Action, at step: Int, error: Int32 = 0) {
        (self.action, self.step, self.error) = (action, step, error)
    }

    /// Whether this build can: under a sanitizer the calls are the sanitizer's.
    package static var isAvailable: Bool { tidelog_faults_available() != 0 }

    func arm() {
        tidelog_faults_arm(self.action.rawValue, self.step, self.error)
    }

    /// Answers how many calls there were since ``arm()``.
    static func disarm() -> Int {
        Int(tidelog_faults_disarm())
    }
}
