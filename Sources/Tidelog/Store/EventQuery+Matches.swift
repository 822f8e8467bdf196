import TidelogStorage

extension EventQuery {
    /// Whether an event satisfies everything that the query demands, order and limit aside.
    public func matches(_ stored: StoredEvent) -> Bool {
        guard let query = try? self.storageQuery() else { return false }
        return query.matches(stored)
    }
}

extension RecordQuery {
    /// Whether an event satisfies everything that the query demands, order and limit aside.
    func matches(_ stored: StoredEvent) -> Bool {
        self.positions.contains(stored.placed.position)
            && self.filter.accepts(stored.placed.record, revision: stored.placed.revision)
    }
}
