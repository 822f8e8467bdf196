/// Streams of which readers must not see every event: truncated or deleted, and not yet compacted away.
///
/// A value for each state of the list; the next one shares all but its last changes with the one before, so that
/// hiding one stream more is much cheaper than reading all of the list again.
package final class HiddenStreams: Sendable {
    /// The lowest visible revision by stream, but for what `recent` says otherwise.
    private let older: [ExactText: UInt64]
    /// The last changes; nil where the stream is hidden no more.
    private let recent: [ExactText: UInt64?]
    /// How many streams are hidden.
    let count: Int

    /// - Parameter lowestVisible: the lowest visible revision by stream; `UInt64.max` where the stream is deleted.
    init(_ lowestVisible: [ExactText: UInt64] = [:]) {
        (self.older, self.recent, self.count) = (lowestVisible, [:], lowestVisible.count)
    }

    private init(older: [ExactText: UInt64], recent: [ExactText: UInt64?], count: Int) {
        (self.older, self.recent, self.count) = (older, recent, count)
    }

    var isEmpty: Bool { self.count == 0 }

    /// The stream's lowest visible revision, `UInt64.max` if it is deleted; nil if all of it is visible.
    subscript(_ stream: ExactText) -> UInt64? {
        if let change = self.recent[stream] { return change }
        return self.older[stream]
    }

    /// All of it.
    var all: [ExactText: UInt64] {
        var all = self.older
        for (stream, lowest) in self.recent { all[stream] = lowest }
        return all
    }

    /// What a change makes of it. It must be the list that the change was made for.
    ///
    /// - Complexity: copies the last changes, at the most 1,024 and one for each 256 streams that are hidden; once in
    ///   so many changes all of the list.
    func changed(by change: HiddenChange) -> HiddenStreams {
        var recent = self.recent
        var count = self.count
        for (stream, lowest) in change.entries {
            count += (lowest == nil ? 0 : 1) - (self.isHidden(stream, recent) ? 1 : 0)
            recent.updateValue(lowest, forKey: stream)
        }
        let changed = HiddenStreams(older: self.older, recent: recent, count: count)
        // Copying the last changes and, more rarely, all of it cost about the same then.
        return recent.count <= 1024 + self.older.count / 256 ? changed : HiddenStreams(changed.all)
    }

    private func isHidden(_ stream: ExactText, _ recent: [ExactText: UInt64?]) -> Bool {
        if let change = recent[stream] { return change != nil }
        return self.older[stream] != nil
    }
}

/// What a transaction of this process does to the list of hidden streams; so that it need not be read anew.
///
/// Invariant: it is left in ``SharedState/hiddenChange`` only while that transaction is in flight, and after it was
/// committed; not after it failed, for then another process's may get the same number.
struct HiddenChange: Sendable {
    /// The version of the list that the transaction makes.
    var version: UInt64
    /// The lowest visible revision by stream; nil: visible again, there is nothing left to hide.
    var entries: [(ExactText, UInt64?)]
}
