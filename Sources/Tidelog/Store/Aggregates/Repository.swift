/// Loads aggregates from a store, and carries out commands on them.
///
/// ```swift
/// let accounts = Repository<Account, EventLog>(log)
/// try await accounts.execute(.deposit(20), on: "7")
/// print(try await accounts.load("7").state.balance)
/// ```
public struct Repository<Model: Aggregate, Store: EventStore>: Sendable {
    /// Where the events are.
    public let store: Store
    /// How the domain's events are written.
    public let codec: EventCodec<Model.Change>
    /// What brings events of older versions up to date.
    public var upcasters: Upcasters
    /// A snapshot is kept with the event that completes every so many; nil: never. Default: 100.
    public var snapshotEvery: Int? = 100
    /// How often a command is decided anew when others changed the stream meanwhile. Default: 16.
    public var maximumAttempts = 16

    /// An aggregate as it was loaded.
    public struct Loaded: Sendable {
        /// Its id.
        public let id: String
        /// What its events add up to.
        public internal(set) var state: Model.State
        /// The revision of its last event; nil if there is none.
        public internal(set) var revision: Revision?
        /// How many events were read, beyond a snapshot.
        public internal(set) var eventsRead = 0
        /// The revision of the snapshot that loading began with; nil if there was none to use.
        public internal(set) var snapshot: Revision?
    }

    /// What a command led to.
    public struct Outcome: Sendable {
        /// The aggregate after it.
        public let loaded: Loaded
        /// What was stored; empty if the command changed nothing.
        public let events: [Event]
        /// How often it was decided.
        public let attempts: Int
    }

    /// A repository with a codec of its own.
    public init(
        _ store: Store, codec: EventCodec<Model.Change>, upcasters: Upcasters = .init()
    ) {
        self.store = store
        self.codec = codec
        self.upcasters = upcasters
    }

    // MARK: Loading

    /// What the events of the aggregate with this id add up to now.
    ///
    /// Begins with the newest snapshot if there is one of the present schema.
    ///
    /// - Throws: ``EventLogError``: `decodingFailed`, with its place, for an event that cannot be read;
    ///   `streamDeleted`; what the store throws.
    public func load(_ id: String) async throws(EventLogError) -> Loaded {
        var loaded = Loaded(id: id, state: Model.initial)
        if self.snapshotEvery != nil { try await self.useSnapshot(&loaded) }
        try await self.advance(&loaded)
        if try await self.isWhole(loaded) { return loaded }
        // A snapshot that the events do not follow on: what is left of them tells the state.
        var fresh = Loaded(id: id, state: Model.initial)
        try await self.advance(&fresh)
        return fresh
    }

    /// Whether no event is missing between the snapshot, if there was one, and those that were read.
    private func isWhole(_ loaded: Loaded) async throws(EventLogError) -> Bool {
        let snapshot = loaded.snapshot?.rawValue
        if loaded.eventsRead > 0 {
            guard let snapshot, let revision = loaded.revision?.rawValue else { return true }
            return revision == snapshot + UInt64(loaded.eventsRead)
        }
        // Nothing was read: then the stream itself must say what it is.
        let stream = Model.stream(of: loaded.id)
        let info = try await self.store.stream(stream)
        if info?.isDeleted == true {
            throw EventLogError(.streamDeleted, "stream '\(stream)' was deleted")
        }
        guard let snapshot else { return true }
        guard let info else { return false }
        return info.lastRevision.rawValue >= snapshot && info.firstRevision.rawValue <= snapshot + 1
    }

    func useSnapshot(_ loaded: inout Loaded) async throws(EventLogError) {
        let stream = Model.stream(of: loaded.id)
        guard let snapshot = try await self.store.snapshot(of: stream), snapshot.schema == Self.schema,
            let state = try? EventPayload(bytes: snapshot.state).decode(as: Model.State.self)
        else { return }
        loaded.state = state
        loaded.revision = snapshot.revision
        loaded.snapshot = snapshot.revision
    }

    /// The schema of a snapshot tells the kind of aggregate and of its state.
    private static var schema: String { "\(Model.name)/\(Model.stateSchema)" }

    /// Reads the events after the last one that is known, a page at a time.
    func advance(
        _ loaded: inout Loaded, asOf moment: StoreMoment? = nil
    ) async throws(EventLogError) {
        var query = EventQuery.stream(Model.stream(of: loaded.id))
        query.limit = 1000
        if let moment { query = query.asOf(moment) }
        while true {
            if let revision = loaded.revision { query.fromRevision = Revision(revision.rawValue + 1) }
            let page = try await self.store.events(query, offset: 0)
            try self.apply(page, to: &loaded)
            if page.count < 1000 { return }
        }
    }

    private func apply(_ page: [StoredEvent], to loaded: inout Loaded) throws(EventLogError) {
        guard page.count > 1, self.upcasters.isEmpty, let changes = self.codec.decodeAll?(page) else {
            for stored in page { try self.apply(stored, to: &loaded) }
            return
        }
        for change in changes { Model.evolve(&loaded.state, change) }
        loaded.revision = page[page.count - 1].revision
        loaded.eventsRead += page.count
    }

    private func apply(_ stored: StoredEvent, to loaded: inout Loaded) throws(EventLogError) {
        let current = try self.upcasters.apply(to: stored)
        do {
            if let change = try self.codec.decode(current) { Model.evolve(&loaded.state, change) }
        } catch {
            throw EventLogError(
                .decodingFailed,
                "the event of type '\(stored.type)', version \(stored.event.schemaVersion), is none that "
                    + "\(Model.self) knows: \(error)", cause: error,
                positions: stored.position..<Position(stored.position.rawValue + 1))
        }
        loaded.revision = stored.revision
        loaded.eventsRead += 1
    }

    // MARK: Commands

    /// Decides a command on the present state and stores what it leads to.
    ///
    /// If others changed the stream between reading and writing, the command is decided anew on what they
    /// made of it, up to ``maximumAttempts`` times.
    ///
    /// - Parameters:
    ///   - cause: what led to the command; the events carry its ids on.
    ///   - metadata: what is said about each of the events.
    /// - Throws: what ``Aggregate/decide(_:_:)`` throws; ``EventLogError`` as ``load(_:)`` and the store's
    ///   append, with `conflict` after the last attempt.
    @discardableResult
    public func execute(
        _ command: Model.Command, on id: String, causedBy cause: Event? = nil,
        metadata: EventMetadata = .init()
    ) async throws -> Outcome {
        var loaded = try await self.load(id)
        var attempts = 0
        while true {
            attempts += 1
            let changes = try Model.decide(command, loaded.state)
            if changes.isEmpty { return Outcome(loaded: loaded, events: [], attempts: attempts) }
            var next = loaded
            let events = try changes.map { change in
                var event = try self.codec.encode(change).withStream(Model.stream(of: id))
                if !metadata.isEmpty { event = event.with(metadata: metadata) }
                if let cause { event = event.caused(by: cause) }
                Model.evolve(&next.state, change)
                return event
            }
            let first = loaded.revision.map { $0.rawValue + 1 } ?? 0
            next.revision = Revision(first + UInt64(events.count) - 1)
            do {
                try await self.store.append(
                    events,
                    if: .stream(Model.stream(of: id), loaded.revision.map { .exact($0) } ?? .noStream),
                    snapshots: try self.snapshot(of: next, after: first))
                return Outcome(loaded: next, events: events, attempts: attempts)
            } catch EventLogError.Code.conflict where attempts < self.maximumAttempts {
                try Task.checkCancellation()
                try await self.advance(&loaded)
            }
        }
    }

    /// The snapshot to keep with events from revision `first` on, if they complete a span.
    private func snapshot(of next: Loaded, after first: UInt64) throws -> [StreamSnapshot] {
        guard let every = self.snapshotEvery.map({ UInt64(max(1, $0)) }), let revision = next.revision,
            (revision.rawValue + 1) / every > first / every
        else { return [] }
        let state = try EventPayload(encoding: next.state).bytes
        return [
            StreamSnapshot(
                stream: Model.stream(of: next.id), revision: revision, schema: Self.schema,
                state: Array(state))
        ]
    }
}

extension Repository where Model.Change: Codable {
    /// A repository whose events are the cases of ``Aggregate/Change``, with the aggregate's name ahead.
    public init(_ store: Store, upcasters: Upcasters = .init()) {
        self.init(store, codec: .cases(prefix: Model.name), upcasters: upcasters)
    }
}
