/// A moment of a store's past, to read as of.
public struct StoreMoment: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: Hashable { case position(Position), time(Timestamp) }
    private let kind: Kind

    /// Right after the event at this position was appended.
    public static func position(_ position: Position) -> Self { .init(kind: .position(position)) }

    /// At this time, as the events' timestamps tell it: they say when things happened, and an event that was
    /// appended later with an earlier timestamp counts.
    public static func time(_ time: Timestamp) -> Self { .init(kind: .time(time)) }

    /// For people.
    public var description: String {
        switch self.kind {
        case .position(let position): "position \(position)"
        case .time(let time): "\(time)"
        }
    }

    /// The position, if it is one.
    var position: Position? { if case .position(let position) = self.kind { position } else { nil } }

    fileprivate func limit(_ query: EventQuery) -> EventQuery {
        var query = query
        switch self.kind {
        case .position(let position):
            if position.rawValue < .max {
                let end = Position(position.rawValue + 1)
                query.to = min(query.to ?? end, end)
                if let from = query.from, from > end { query.from = end }
            }
        case .time(let time):
            if time.nanosecondsSinceEpoch < .max {
                let end = Timestamp(nanosecondsSinceEpoch: time.nanosecondsSinceEpoch + 1)
                query.until = min(query.until ?? end, end)
                // Wanting only what came later, one finds nothing; that is no contradiction.
                if let since = query.since, since > end { query.since = end }
            }
        }
        return query
    }
}

extension EventQuery {
    /// The same query as it would have been answered at `moment`.
    public func asOf(_ moment: StoreMoment) -> EventQuery { moment.limit(self) }
}

/// The state of a stream after some of its events.
public struct StreamState<State: Sendable>: Sendable {
    /// The stream.
    public let stream: String
    /// What its events add up to.
    public var state: State
    /// The revision of the last event that counts; nil if none does.
    public var revision: Revision?
    /// The position of that event.
    public var position: Position?
    /// How many events were read: those after a snapshot, where there was one.
    public var eventsRead: Int
}

extension EventStore {
    /// What the events of a stream add up to, now or at a moment of the past.
    ///
    /// ```swift
    /// let balance = try await store.state(of: "account-7", asOf: .time(endOfYear), from: 0) { sum, stored in
    ///     sum += try stored.payload.decode(as: Booking.self).amount
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - initial: the state before the first event.
    ///   - evolve: what an event does to the state.
    public func state<State: Sendable>(
        of stream: String, asOf moment: StoreMoment? = nil, from initial: State,
        evolve: @Sendable (inout State, StoredEvent) throws -> Void
    ) async throws -> StreamState<State> {
        var query = EventQuery.stream(stream)
        if let moment { query = query.asOf(moment) }
        var result = StreamState(stream: stream, state: initial, revision: nil, position: nil, eventsRead: 0)
        for try await stored in self.load(query) {
            try evolve(&result.state, stored)
            result.revision = stored.revision
            result.position = stored.position
            result.eventsRead += 1
        }
        return result
    }
}
