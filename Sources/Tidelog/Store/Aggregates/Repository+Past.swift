extension Repository {
    /// What its events added up to at a moment of the past.
    ///
    /// Of a stream that was truncated, a snapshot tells what is missing, if it is of before that moment; times
    /// of events that are there no more are taken to be in order. Without a snapshot to use, what is left of the
    /// events tells the state, as for ``load(_:)``.
    ///
    /// - Throws: ``EventLogError`` as ``load(_:)``, and `notFound` if what told the state of then was removed.
    public func load(_ id: String, asOf moment: StoreMoment) async throws(EventLogError) -> Loaded {
        var loaded = Loaded(id: id, state: Model.initial)
        try await self.advance(&loaded, asOf: moment)
        // Asked afterwards, so that a truncation while the events were read is seen.
        let stream = Model.stream(of: id)
        guard let info = try await self.store.stream(stream) else { return loaded }
        if info.isDeleted { throw EventLogError(.streamDeleted, "stream '\(stream)' was deleted") }
        if info.firstRevision == .zero { return loaded }
        return try await self.load(id, asOf: moment, after: info, whatIsLeft: loaded)
    }

    /// The state of a stream that was truncated.
    private func load(
        _ id: String, asOf moment: StoreMoment, after info: StreamInfo, whatIsLeft rest: Loaded
    ) async throws(EventLogError) -> Loaded {
        var loaded = Loaded(id: id, state: Model.initial)
        if self.snapshotEvery != nil { try await self.useSnapshot(&loaded) }
        if let snapshot = loaded.snapshot, snapshot.rawValue + 1 >= info.firstRevision.rawValue {
            if try await self.isThere(snapshot, at: moment, in: info) {
                try await self.advance(&loaded, asOf: moment)
                return loaded
            }
        } else if rest.eventsRead > 0 {
            return rest
        }
        throw EventLogError(
            .notFound,
            "what '\(info.name)' was as of \(moment) is known no longer: the stream was truncated before "
                + "revision \(info.firstRevision), and no snapshot of then is left; ask for a later moment")
    }

    /// Whether the event that a snapshot was made at had been appended by then.
    private func isThere(
        _ snapshot: Revision, at moment: StoreMoment, in info: StreamInfo
    ) async throws(EventLogError) -> Bool {
        // The last event need not be visible for its place to be known.
        if info.lastRevision == snapshot, let position = moment.position, position >= info.lastPosition {
            return true
        }
        // It, or a later one.
        var query = EventQuery.stream(info.name).asOf(moment)
        query.fromRevision = snapshot
        query.limit = 1
        return try await !self.store.events(query, offset: 0).isEmpty
    }
}
