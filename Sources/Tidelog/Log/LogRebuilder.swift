package import SystemPackage
import TidelogStorage

/// Makes a log of events whose places are given: how adapters bring a log back from where it was exported to.
///
/// Positions, revisions and the log's id are kept; nothing is a log until ``finish(nextPosition:)`` returns.
/// It is for one thread, which may block.
package final class LogRebuilder {
    private let builder: LogBuilder
    private let directory: FilePath
    /// How large an event may be is what the log said that it comes from.
    private let limits: EventLimits

    /// Begins a log in a directory that is missing or empty.
    ///
    /// - Throws: ``EventLogError`` with code `alreadyExists`, or `invalidArgument` for an id that is no UUID.
    package init(
        at directory: FilePath, logID: EventID, incarnation: UInt64, firstPosition: Position
    ) throws(EventLogError) {
        guard let uuid = logID.uuid else {
            throw EventLogError(
                .invalidArgument, "the id of a log is a UUID in lower case, and \(logID) is none")
        }
        self.directory = directory
        var limits = EventLimits()
        limits.maximumEventBytes = .max
        self.limits = limits
        self.builder = try EventLogError.translating { () throws(StorageError) in
            try LogBuilder(
                directory: directory.string, logID: (uuid.high, uuid.low), incarnation: incarnation,
                firstPosition: firstPosition.rawValue)
        }
    }

    /// Adds an event after those before it.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` for a position or a revision that does not ascend,
    ///   `invalidEvent` for an event that no log accepts.
    package func append(_ stored: StoredEvent) throws(EventLogError) {
        try stored.event.validate(limits: self.limits)
        try EventLogError.translating { () throws(StorageError) in try self.builder.append(stored.placed) }
    }

    /// Puts the log in place and verifies it, every block and index.
    ///
    /// - Throws: ``EventLogError`` with code `corrupted` if what is on the disk is not what was written.
    package func finish(nextPosition: Position) throws(EventLogError) {
        try EventLogError.translating { () throws(StorageError) in
            try self.builder.finish(end: nextPosition.rawValue)
            var options = VerificationOptions()
            options.isDeep = true
            let outcome = try Verification.run(directory: self.directory.string, options: options)
            if let finding = outcome.findings.first(where: { !$0.isNote }) {
                throw StorageError(
                    .corrupted, "the log that was made is not sound: \(finding.message)",
                    path: self.directory.string)
            }
        }
    }

    /// Gives up; what was made is removed.
    package func abandon() { self.builder.abandon() }
}
