/// What is known of one stream.
package struct StreamSummary: Sendable, Equatable {
    package var name: String
    /// The revision of its last event.
    package var lastRevision: UInt64
    /// The lowest revision that can still be read, unless retention or compaction took more.
    package var firstRevision: UInt64
    /// The position of its first event ever.
    package var firstPosition: UInt64
    /// The position of its last event.
    package var lastPosition: UInt64
    /// Whether it was deleted.
    package var isDeleted: Bool
}

extension LogEngine {
    /// The stream of this name; nil if it never had an event.
    package func stream(_ name: String) throws(StorageError) -> StreamSummary? {
        let (view, chunks) = try self.withCurrentState { ($0.view, $0.active.chunks) }
        self.options.betweenReads?()
        let head = try self.head.environment.read { transaction throws(StorageError) in
            try self.head.databases.stream(name, in: transaction)
        }
        return self.summary(name, head, chunks, view)
    }

    /// Streams whose names begin with `prefix` and come after `after`, in the order of their bytes.
    ///
    /// - Complexity: O(*n* log *n*) in the active segment's streams, plus O(`limit`).
    package func streams(
        prefix: String, after: String?, limit: Int
    ) throws(StorageError) -> [StreamSummary] {
        let (view, chunks, tables) = try self.withCurrentState { shared in
            // The table of the chunk that grows is copied only if it grows meanwhile.
            (shared.view, shared.active.chunks, shared.active.chunks.map(\.streams))
        }
        self.options.betweenReads?()
        let prefixBytes = Array(prefix.utf8)
        let start = after.map { Array($0.utf8) + [0] } ?? prefixBytes
        let first = start.lexicographicallyPrecedes(prefixBytes) ? prefixBytes : start
        var heads: [(name: String, head: StreamHead)] = []
        let databases = self.head.databases
        try self.head.environment.read { transaction throws(StorageError) in
            try transaction.scan(databases.streams, from: .atOrAfter(first)) {
                key, value throws(StorageError) in
                guard key.starts(with: prefixBytes), heads.count < limit else { return false }
                let bytes = try HeadFormat.unwrap(value, database: "streams", key: [UInt8](key))
                heads.append((String(decoding: key, as: UTF8.self), try StreamHead.decode(bytes)))
                return true
            }
        }
        var names = Set(heads.map { ExactText($0.name) })
        for table in tables {
            for entry in table.entries.indices {
                let name = table.name(entry)
                guard name.utf8.starts(with: prefixBytes), !name.utf8.lexicographicallyPrecedes(first) else {
                    continue
                }
                names.insert(ExactText(name))
            }
        }
        let ordered = names.sorted { $0.text.utf8.lexicographicallyPrecedes($1.text.utf8) }
        let byName = Dictionary(heads.map { (ExactText($0.name), $0.head) }) { first, _ in first }
        var result: [StreamSummary] = []
        for name in ordered where result.count < limit {
            // Of a stream that the writer has in flight there is nothing to tell yet.
            if let summary = self.summary(name.text, byName[name], chunks, view) { result.append(summary) }
        }
        return result
    }

    /// Puts together what the head and the active segment know of a stream. `chunks` are those of `view`, and
    /// `head` is as of then or later: an event that was sealed in between is in both, and counts once.
    private func summary(
        _ name: String, _ head: StreamHead?, _ chunks: [ActiveChunk], _ view: ReadView
    ) -> StreamSummary? {
        let lowest = view.hidden[ExactText(name)]
        // The last of the chunks grows under this lock.
        return self.shared.withLock { _ in
            var summary: StreamSummary?
            if let head, head.nextRevision > 0 {
                summary = StreamSummary(
                    name: name, lastRevision: head.nextRevision - 1, firstRevision: head.truncatedBefore,
                    firstPosition: head.firstPosition, lastPosition: head.lastPosition,
                    isDeleted: head.isDeleted)
            }
            for chunk in chunks {
                guard let index = chunk.streams.find(name) else { continue }
                let entry = chunk.streams.entries[index]
                let first = chunk.first + UInt64(entry.firstOffset)
                guard first < view.end else { continue }
                // What the writer has in flight is in the chunk, and not in the log yet.
                let (last, uncommitted) = chunk.lastPosition(ofEntry: index, below: view.end)
                let lastRevision = entry.nextRevision - 1 - uncommitted
                if summary == nil {
                    summary = StreamSummary(
                        name: name, lastRevision: 0, firstRevision: 0, firstPosition: first,
                        lastPosition: last, isDeleted: false)
                }
                let (revision, position) = summary.map { ($0.lastRevision, $0.lastPosition) } ?? (0, 0)
                summary?.lastRevision = max(revision, lastRevision)
                summary?.lastPosition = max(position, last)
            }
            if let lowest {
                summary?.firstRevision = lowest
                summary?.isDeleted = lowest == .max
            }
            // Nothing of a deleted stream can be read, before compaction and after.
            if let deleted = summary, deleted.isDeleted {
                summary?.firstRevision = deleted.lastRevision + 1
            }
            return summary
        }
    }

    // MARK: Truncating and deleting

    /// Hides the stream's events before `revision` from every reader at once; compaction removes them.
    ///
    /// Revisions are not reused. A bound below the present one changes nothing.
    package func truncate(stream name: String, before revision: UInt64) throws(StorageError) {
        try self.hide(name) { head throws(StorageError) in
            guard revision <= head.nextRevision else {
                throw StorageError(
                    .invalidArgument,
                    "stream '\(name)' ends at revision \(head.nextRevision - 1), so it cannot be truncated "
                        + "before \(revision)",
                    actualRevision: head.nextRevision - 1)
            }
            head.truncatedBefore = max(head.truncatedBefore, revision)
            return head.truncatedBefore
        }
    }

    /// Deletes the stream for good: its events are hidden at once, and it takes no more.
    package func delete(stream name: String, expecting expectation: StreamExpectation) throws(StorageError) {
        try self.hide(name) { head throws(StorageError) in
            if expectation == .noStream {
                throw StorageError(
                    .conflict,
                    "stream '\(name)' is at revision \(head.nextRevision - 1), expected no such stream; load "
                        + "it again and decide anew",
                    actualRevision: head.nextRevision - 1)
            }
            if case .exact(let revision) = expectation, head.nextRevision - 1 != revision {
                throw StorageError(
                    .conflict,
                    "stream '\(name)' is at revision \(head.nextRevision - 1), expected revision "
                        + "\(revision); load it again and decide anew",
                    actualRevision: head.nextRevision - 1)
            }
            head.isDeleted = true
            return .max
        }
    }

    /// Makes the list's next version, of which the records were changed so.
    func changeHidden(
        _ entries: [(ExactText, UInt64?)], _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        var state = try self.head.databases.state(in: transaction.transaction)
        state.hiddenVersion += 1
        try transaction.setState(state)
        let change = HiddenChange(version: state.hiddenVersion, entries: entries)
        self.shared.withLock { $0.hiddenChange = change }
    }

    private func hide(
        _ name: String,
        _ change: @escaping @Sendable (inout StreamHead) throws(StorageError) -> UInt64
    ) throws(StorageError) {
        guard let writer = self.writer else { throw self.readOnlyError() }
        try writer.perform { [self] transaction throws(StorageError) in
            let databases = self.head.databases
            let stored = try databases.stream(name, in: transaction.transaction)
            let (view, chunks) = self.shared.withLock { ($0.view, $0.active.chunks) }
            guard let summary = self.summary(name, stored, chunks, view) else {
                throw StorageError(.notFound, "there is no stream '\(name)'")
            }
            if summary.isDeleted {
                throw StorageError(.streamDeleted, "stream '\(name)' was deleted already")
            }
            var head = StreamHead(
                nextRevision: summary.lastRevision + 1, firstPosition: summary.firstPosition,
                lastPosition: summary.lastPosition, truncatedBefore: stored?.truncatedBefore ?? 0,
                isDeleted: false)
            let lowest = try change(&head)
            try transaction.setStream(name, head)
            try transaction.setRecord(
                .hiddenStreams, key: Array(name.utf8), value: HeadKeys.integer(lowest))
            try self.changeHidden([(ExactText(name), lowest)], transaction)
        }
        self.frames.removeAll()
    }
}
