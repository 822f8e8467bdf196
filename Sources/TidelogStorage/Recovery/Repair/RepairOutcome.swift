/// How a log is repaired.
package struct RepairOptions: Sendable {
    /// Where the repaired log goes; nil: it takes the damaged one's place, which is kept beside it.
    package var target: String?
    package var place: WalkPlace = .automatic
    /// Told how far the work has come; an error ends it and leaves the damaged log as it is.
    package var progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?

    package init() {}
}

/// Events that a repair could not keep.
package struct LostRange: Sendable, Hashable {
    /// The positions. Where it is not known how far the loss goes, all that can be concerned.
    package var positions: Range<UInt64>
    /// The file that held them, relative to the log's directory.
    package var file: String
    /// Whether it is certain that events were there: not behind a damaged end, nor where compaction may have
    /// left gaps.
    package var isCertain: Bool
}

/// What a repair did.
package struct RepairOutcome: Sendable {
    /// What was wrong.
    package var findings: [RecoveryFinding] = []
    /// Whether a new log was written; not, if nothing was wrong and no target was given.
    package var isChanged = false
    /// Where the repaired log is.
    package var directory = ""
    /// Where the damaged log was put, if it had to make room.
    package var damagedDirectory: String?
    /// Positions whose events are lost, ascending.
    package var lost: [LostRange] = []
    /// Streams that are known to have lost events.
    package var lostStreams: [String] = []
    /// What else is lost, in words.
    package var lostRecords: [String] = []
    /// Segments whose files were kept as they are.
    package var segmentsKept = 0
    /// Files of segments that were written anew from what was intact in them.
    package var segmentsRewritten: [String] = []
    /// Files of segments of which nothing could be kept.
    package var segmentsDropped: [String] = []
    /// Events in the repaired log, hidden ones among them.
    package var eventsKept = 0
    /// The repaired log's state, and the position that its next event gets.
    package var state: HeadState?
    package var nextPosition: UInt64 = 0
}
