import Logging
import Synchronization
import TidelogStorage

/// Says, once in a process, that the LMDB that it runs with carries a known fault.
///
/// That is no reason to refuse a log: what is known concerns rare moments, and an app cannot always choose.
final class LibraryWarning: Sendable {
    /// The one of this process.
    static let shared = LibraryWarning()

    private let isGiven = Atomic<Bool>(false)

    init() {}

    /// Logs what is known against `version`, unless nothing is or it was logged before.
    func give(to logger: Logger, about version: LMDBVersion = .linked) {
        guard let warning = version.warning, !self.isGiven.exchange(true, ordering: .relaxed) else { return }
        logger.warning("\(warning)", metadata: ["tidelog.lmdb.version": "\(version)"])
    }
}
