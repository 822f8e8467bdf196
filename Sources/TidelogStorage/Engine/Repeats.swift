/// Tells a repeated append from a new one: the same ids, in the same order, with the same contents.
///
/// Timestamps are left out of the comparison, since a caller who builds his events anew for a second try
/// stamps them anew, and of the metadata what ``EngineOptions/hasSameMetadata`` does; everything else must agree.
///
/// An id that the window knows and whose segment cannot be read is refused: to store the event might store it
/// twice, to answer would be a guess.
struct Repeats {
    let engine: LogEngine
    let window: IdentifierWindow
    private let decoder = FrameDecoder()

    init(engine: LogEngine, window: IdentifierWindow) {
        self.engine = engine
        self.window = window
    }

    /// The answer that was given when these events were appended; nil if none of them is known.
    ///
    /// - Throws: ``StorageError`` with code `duplicate` if only some are known, or if the log's differ.
    func outcome(
        of request: PreparedEvents, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> AppendOutcome? {
        var places: [PlacedRecord] = []
        for (index, record) in request.records.enumerated() {
            guard
                let place = try self.stored(
                    record, hash: request.records.count == 1 ? request.idHash : request.idHashes[index],
                    transaction)
            else {
                continue
            }
            places.append(place)
        }
        guard let first = places.first else { return nil }
        guard places.count == request.records.count else {
            throw StorageError(
                .duplicate,
                "\(places.count) of the \(request.records.count) events are in the log already (the first at "
                    + "position \(first.position)): repeat the append that brought them whole, or give new "
                    + "events new ids",
                positions: first.position..<first.position + 1)
        }
        for (index, place) in places.enumerated() {
            let offered = request.records[index]
            if place.position != first.position + UInt64(index) {
                throw self.refusal(place, "stands in the log already, but not in this order")
            }
            try self.requireSame(place, offered)
        }
        var outcome = AppendOutcome(firstPosition: first.position, count: places.count, isRepeat: true)
        for place in places {
            if let stream = place.record.stream, let revision = place.revision {
                outcome.note(stream, revision)
            }
        }
        return outcome
    }

    /// The events that the log does not have yet, in their order. The others stand there, in whatever order.
    ///
    /// - Throws: ``StorageError`` with code `duplicate` if the log's differ.
    func unknown(
        among request: PreparedEvents, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> [EventRecord] {
        var unknown: [EventRecord] = []
        for (index, record) in request.records.enumerated() {
            let hash = request.records.count == 1 ? request.idHash : request.idHashes[index]
            if let place = try self.stored(record, hash: hash, transaction) {
                try self.requireSame(place, record)
            } else {
                unknown.append(record)
            }
        }
        return unknown
    }

    private func requireSame(_ place: PlacedRecord, _ offered: EventRecord) throws(StorageError) {
        if !place.record.stream.isExactly(offered.stream) {
            throw self.refusal(place, "belongs to another stream already")
        }
        if !self.isSame(place.record, offered) {
            throw self.refusal(place, "stands in the log already, with other contents")
        }
    }

    private func refusal(_ place: PlacedRecord, _ problem: String) -> StorageError {
        StorageError(
            .duplicate,
            "the id of an event to append \(problem) (position \(place.position)); an id names one event for "
                + "ever: give a new event a new id",
            positions: place.position..<place.position + 1, event: place.record.id)
    }

    private func stored(
        _ record: EventRecord, hash: UInt64, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> PlacedRecord? {
        for position in self.window.candidates(hash) {
            let place: PlacedRecord?
            do throws(StorageError) {
                place = try self.engine.record(at: position, transaction, with: self.decoder)
            } catch {
                guard position < self.engine.shared.withLock({ $0.view.state.sealedEnd }) else { throw error }
                throw Self.unreadable(position, error).about(record.id)
            }
            if let place, place.record.id == record.id { return place }
        }
        return nil
    }

    /// That a sealed segment cannot be read: damage, whatever the system says of it, and no reason to stop
    /// the writer.
    private static func unreadable(_ position: UInt64, _ error: StorageError) -> StorageError {
        StorageError(
            .corrupted,
            "the id of an event to append seems to be in the log already, at position \(position), and what "
                + "stands there cannot be read (\(error.message)): run `tidelog verify`, then `tidelog "
                + "repair`, and append again; events with other ids can be appended as before",
            number: error.number, path: error.path, positions: position..<position + 1)
    }

    private func isSame(_ stored: EventRecord, _ offered: EventRecord) -> Bool {
        var offered = offered
        offered.timestamp = stored.timestamp
        if stored.metadata != offered.metadata {
            guard self.engine.options.hasSameMetadata(stored.metadata, offered.metadata) else { return false }
            offered.metadata = stored.metadata
        }
        return stored == offered && stored.type.isExactly(offered.type)
            && stored.source.isExactly(offered.source) && stored.contentType.isExactly(offered.contentType)
            && stored.tenant.isExactly(offered.tenant)
    }
}
