import TidelogStorage

/// The log is a store of events.
extension EventLog: EventStore {
    /// Appends events to the streams that they name, if `condition` holds, together with `snapshots`: one
    /// transaction, durable when it returns.
    ///
    /// A condition on events is looked at twice: here, for what is committed, and by the writer in the
    /// transaction that appends, for what has come since.
    @discardableResult
    public func append(
        _ events: [Event], if condition: AppendCondition, snapshots: [StreamSnapshot]
    ) async throws(EventLogError) -> AppendResult {
        let records = try self.records(events, stream: nil)
        let expectations = condition.revisions.map { (stream: $0.key, expectation: $0.value.storage) }
        var changes: [RecordChange] = []
        for snapshot in snapshots { changes.append(try snapshot.change) }
        let absences = try await self.absenceChecks(condition.absences)
        if records.isEmpty, expectations.isEmpty, changes.isEmpty, absences.isEmpty {
            return try await self.emptyAppend()
        }
        do throws(StorageError) {
            return AppendResult(
                try await self.engine.append(
                    records, expecting: expectations, changing: changes, absences: absences))
        } catch {
            throw EventLogError(error)
        }
    }

    /// Looks for events that must not be there among those that are committed.
    private func absenceChecks(
        _ absences: [AppendCondition.Absence]
    ) async throws(EventLogError) -> [AbsenceCheck] {
        if absences.isEmpty { return [] }
        var queries: [RecordQuery] = []
        for absence in absences { queries.append(try absence.boundedQuery().storageQuery()) }
        return try await self.run { [queries] engine throws(StorageError) in
            try zip(queries, absences).map { query, absence throws(StorageError) in
                try AbsenceCheck(query, in: engine) { position in
                    StorageError(
                        .conflict, absence.conflict(at: Position(position)).message,
                        positions: position..<position + 1)
                }
            }
        }
    }

    private func emptyAppend() async throws(EventLogError) -> AppendResult {
        let end = try await self.end()
        return AppendResult(positions: end..<end, streams: [])
    }

    /// See ``read(_:)``.
    public func load(_ query: EventQuery) -> StoredEvents { self.read(query) }

    /// See ``tail(_:from:)``.
    public func subscribe(_ query: EventQuery, from start: TailStart) throws(EventLogError) -> StoredEvents {
        try self.tail(query, from: start)
    }

    /// The events that `query` wants, as one array.
    public func events(_ query: EventQuery, offset: Int) async throws(EventLogError) -> [StoredEvent] {
        let storage = try query.storageQuery()
        try StoreInput.checkOffset(offset)
        if offset == 0 {
            if let known = self.engine.recordsInMemory(storage) { return StoredEvent.events(of: known) }
            return try await self.run { engine throws(StorageError) in
                StoredEvent.events(of: try engine.records(storage))
            }
        }
        return try await self.run { engine throws(StorageError) in
            StoredEvent.events(of: try engine.records(storage, offset: offset))
        }
    }

    /// The position that the next event gets.
    public func end() async throws(EventLogError) -> Position {
        Position(try await self.run { engine throws(StorageError) in try engine.currentView().end })
    }

    /// Streams with what their events tell.
    ///
    /// - Complexity: O(*n*) in the streams' events: their number and times are read from the envelopes of the
    ///   blocks that the indexes name. ``streams(prefix:after:limit:)`` reads no events.
    public func describeStreams(
        prefix: String, after name: String?, limit: Int
    ) async throws(EventLogError) -> [StreamDescription] {
        try StoreInput.checkPage(limit)
        return try await self.run { engine throws(StorageError) in
            try engine.streams(prefix: prefix, after: name, limit: limit).map {
                summary throws(StorageError) in
                try engine.describe(StreamInfo(summary))
            }
        }
    }

    /// The newest snapshot that was kept of a stream.
    public func snapshot(of stream: String) async throws(EventLogError) -> StreamSnapshot? {
        try await self.run { engine throws(StorageError) in
            try engine.record(.snapshots, key: Array(stream.utf8)).map { bytes throws(StorageError) in
                try StreamSnapshot(stream: stream, stored: bytes)
            }
        }
    }
}

/// What every store refuses in the same words.
package enum StoreInput {
    package static func checkOffset(_ offset: Int) throws(EventLogError) {
        guard offset < 0 else { return }
        throw EventLogError(.invalidArgument, "the offset is \(offset); it cannot be negative")
    }

    package static func checkPage(_ limit: Int) throws(EventLogError) {
        guard limit <= 0 else { return }
        throw EventLogError(.invalidArgument, "a page of \(limit) streams; ask for one at the least")
    }
}

extension LogEngine {
    /// Owned events, the first `offset` of those that satisfy the query passed over without decoding them.
    fileprivate func records(_ query: RecordQuery, offset: Int) throws(StorageError) -> [PlacedRecord] {
        var query = query
        let limit = query.limit ?? .max
        query.limit = nil
        var toPass = offset
        var result: [PlacedRecord] = []
        if limit == 0 { return [] }
        try self.scan(query) { frame, selection throws(StorageError) in
            if selection.count <= toPass {
                toPass -= selection.count
                return true
            }
            try frame.require(.all)
            return try selection.forEach(backwards: query.isBackwards) { index throws(StorageError) in
                if toPass > 0 {
                    toPass -= 1
                    return true
                }
                result.append(
                    PlacedRecord(
                        position: frame.position(index), revision: frame.revision(index),
                        record: try frame.record(index)))
                return result.count < limit
            }
        }
        return result
    }

    fileprivate func describe(_ info: StreamInfo) throws(StorageError) -> StreamDescription {
        if info.isDeleted {
            return StreamDescription(info: info, count: 0, firstTimestamp: nil, lastTimestamp: nil)
        }
        var query = RecordQuery()
        query.filter.streams = [info.name]
        var count = 0
        var times: (first: Int64, last: Int64)?
        try self.scan(query) { frame, selection throws(StorageError) in
            try frame.require(.timestamps)
            count += selection.count
            return try selection.forEach(backwards: false) { index in
                let time = frame.timestamp(index)
                times = (times?.first ?? time, time)
                return true
            }
        }
        return StreamDescription(
            info: info, count: count,
            firstTimestamp: times.map { Timestamp(nanosecondsSinceEpoch: $0.first) },
            lastTimestamp: times.map { Timestamp(nanosecondsSinceEpoch: $0.last) })
    }
}

/// How a snapshot stands in the head: see Docs/Format.md, "Snapshots".
extension StreamSnapshot {
    /// Checks that a store keeps it, whatever store it is.
    package func validate() throws(EventLogError) {
        guard !self.stream.isEmpty, self.stream.utf8.count <= 255, self.schema.utf8.count <= 255 else {
            throw EventLogError(
                .invalidArgument,
                "a snapshot's stream and schema have 1 to 255 and at most 255 bytes of UTF-8")
        }
    }

    /// The change that keeps it.
    var change: RecordChange {
        get throws(EventLogError) {
            try self.validate()
            var bytes = RecordWriter()
            bytes.write(UInt8(1))
            bytes.write(self.revision.rawValue)
            bytes.write(text: self.schema)
            bytes.write(rest: self.state)
            return .set(.snapshots, key: Array(self.stream.utf8), value: bytes.bytes)
        }
    }

    init(stream: String, stored bytes: [UInt8]) throws(StorageError) {
        var reader = RecordBytes(bytes, what: "the snapshot of stream '\(stream)'")
        try reader.requireVersion(1)
        self.init(
            stream: stream, revision: Revision(try reader.read()), schema: try reader.readText(),
            state: reader.rest())
    }
}
