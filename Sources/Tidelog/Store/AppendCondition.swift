/// What must hold for an append to take place; everything at once.
///
/// ```swift
/// // One stream must be where it was read:
/// try await store.append([paid], if: .stream("order-42", .exact(3)))
/// // Nobody must have taken the name since position `seen`, in whatever stream (a rule that spans streams):
/// try await store.append([taken], if: .noEvent(matching: .types("name.taken"), after: seen))
/// ```
public struct AppendCondition: Hashable, Sendable {
    /// What must be true of streams; one that is not named may have any revision.
    public var revisions: [String: ExpectedRevision]
    /// Events that must not be there.
    public var absences: [Absence]

    /// That no event satisfies `query` at a position after `position`.
    public struct Absence: Hashable, Sendable {
        /// The events that must not be there. Its order does not count, and it must have no limit.
        public var query: EventQuery
        /// The last position that the caller knows of; nil: none.
        public var after: Position?

        /// That no event after `position` satisfies `query`.
        public init(_ query: EventQuery, after position: Position?) {
            self.query = query
            self.after = position
        }
    }

    /// What must be true of streams, and what events must not be there.
    public init(revisions: [String: ExpectedRevision] = [:], absences: [Absence] = []) {
        self.revisions = revisions
        self.absences = absences
    }

    /// The append takes place whatever there is.
    public static var always: Self { .init() }

    /// One stream must be so.
    public static func stream(_ name: String, _ expectation: ExpectedRevision) -> Self {
        .init(revisions: [name: expectation])
    }

    /// Each of these streams must be so.
    public static func streams(_ expectations: [String: ExpectedRevision]) -> Self {
        .init(revisions: expectations)
    }

    /// No event that satisfies `query` was stored after `position`; nil: none ever was.
    public static func noEvent(matching query: EventQuery, after position: Position?) -> Self {
        .init(absences: [.init(query, after: position)])
    }

    /// Both must hold. Where both name a stream, it is the other one's demand that counts.
    public func and(_ other: Self) -> Self {
        .init(
            revisions: self.revisions.merging(other.revisions) { $1 },
            absences: self.absences + other.absences)
    }
}

extension AppendCondition.Absence {
    /// The query of the events that must not be there.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` for a query that cannot be answered, or with a
    ///   limit: it would leave open which events it is about.
    package func boundedQuery() throws(EventLogError) -> EventQuery {
        guard self.query.limit == nil else {
            throw EventLogError(
                .invalidArgument,
                "the query of a condition has a limit; say with `from`, `to` or `after` which events it means"
            )
        }
        var query = self.query
        query.order = .oldestFirst
        if let after {
            let next = Position(after.rawValue == .max ? .max : after.rawValue + 1)
            query.from = max(query.from ?? .zero, next)
            if let to = query.to, query.from.map({ $0 > to }) ?? false { query.from = to }
        }
        _ = try query.storageQuery()
        return query
    }

    /// The error of an append that finds one of the events there.
    package func conflict(at position: Position) -> EventLogError {
        EventLogError(
            .conflict,
            "an event that the condition rules out is at position \(position)"
                + (self.after.map { ", after position \($0)" } ?? "") + "; read again and decide anew",
            positions: position..<Position(position.rawValue + 1))
    }
}
