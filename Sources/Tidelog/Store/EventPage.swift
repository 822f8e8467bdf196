/// Where a page ended, to go on from there: text that can be handed out and given back.
public struct EventCursor: Hashable, Sendable, LosslessStringConvertible {
    /// The position of the last event of the page.
    let position: Position
    /// The order in which it was read.
    let isBackwards: Bool

    /// `f` or `b`, and the position.
    public var description: String { (self.isBackwards ? "b" : "f") + "\(self.position)" }

    /// Reads what ``description`` wrote; nil if it is something else.
    public init?(_ description: String) {
        guard let first = description.first, first == "f" || first == "b",
            let position = Position(String(description.dropFirst()))
        else { return nil }
        self.init(position: position, isBackwards: first == "b")
    }

    /// Reads what ``description`` wrote, as it comes from outside.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` if it is something else.
    public init(parsing text: String) throws(EventLogError) {
        guard let cursor = Self(text) else {
            throw EventLogError(
                .invalidArgument,
                "'\(TerminalText.escape(String(text.prefix(40))))' is no cursor; give back what came as the "
                    + "page's `next`, or begin again without one")
        }
        self = cursor
    }

    init(position: Position, isBackwards: Bool) {
        self.position = position
        self.isBackwards = isBackwards
    }
}

/// A part of a read.
public struct EventPage: Sendable {
    /// The events, in the order of the query.
    public let events: [StoredEvent]
    /// Where the next page begins; nil if there is none.
    public let next: EventCursor?
}

extension EventStore {
    /// A page of the events that `query` wants.
    ///
    /// Pages are stable: going on after a page never repeats or skips an event that was there then.
    ///
    /// ```swift
    /// var cursor: EventCursor?
    /// repeat {
    ///     let page = try await store.page(.types("order.*"), size: 100, after: cursor)
    ///     cursor = page.next
    /// } while cursor != nil
    /// ```
    ///
    /// - Parameters:
    ///   - size: the most events of the page; the query's own limit does not count.
    ///   - cursor: where an earlier page of the same query ended; nil: the first page.
    /// - Throws: ``EventLogError`` with code `invalidArgument` for a size below one, a cursor of a query in the
    ///   other order, or one of a position that this store does not have yet. From any other one it goes on, whatever
    ///   query that came from.
    public func page(
        _ query: EventQuery, size: Int, after cursor: EventCursor? = nil
    ) async throws(EventLogError) -> EventPage {
        guard size > 0, size < .max else {
            throw EventLogError(.invalidArgument, "a page of \(size) events; ask for one at the least")
        }
        var query = query
        query.limit = size + 1
        if let cursor {
            guard cursor.isBackwards == query.order.isBackwards else {
                throw EventLogError(
                    .invalidArgument,
                    "the cursor \(cursor) comes from a query in the other order; begin again without one")
            }
            guard cursor.position < (try await self.end()) else {
                throw EventLogError(
                    .invalidArgument,
                    "no page of this store ended with the cursor \(cursor); begin again without one")
            }
            if cursor.isBackwards {
                query.to = min(query.to ?? cursor.position, cursor.position)
            } else {
                query.from = max(query.from ?? .zero, Position(cursor.position.rawValue + 1))
            }
            if let from = query.from, let to = query.to, from >= to {
                return EventPage(events: [], next: nil)
            }
        }
        var events = try await self.events(query, offset: 0)
        let hasMore = events.count > size
        if hasMore { events.removeLast() }
        let next = hasMore ? events.last : nil
        return EventPage(
            events: events,
            next: next.map { EventCursor(position: $0.position, isBackwards: query.order.isBackwards) })
    }
}
