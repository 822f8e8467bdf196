import TidelogStorage

extension EventQuery {
    /// Whether an event satisfies everything that the query demands, order and limit aside.
    public func matches(_ stored: StoredEvent) -> Bool {
        let record = stored.placed.record
        if let from, stored.position < from { return false }
        if let to, stored.position >= to { return false }
        if !self.streams.isEmpty {
            guard let stream = record.stream, self.streams.contains(where: stream.isExactly) else {
                return false
            }
        }
        if let streamPrefix {
            guard let stream = record.stream, stream.utf8.starts(with: streamPrefix.utf8) else {
                return false
            }
        }
        if self.fromRevision != nil || self.toRevision != nil {
            guard let revision = stored.revision else { return false }
            if let fromRevision, revision < fromRevision { return false }
            if let toRevision, revision >= toRevision { return false }
        }
        if !self.types.isEmpty, !self.types.contains(where: { $0.matches(record.type) }) { return false }
        if let since, stored.timestamp < since { return false }
        if let until, stored.timestamp >= until { return false }
        if let correlationID, record.correlation != correlationID.identifier { return false }
        if let causationID, record.causation != causationID.identifier { return false }
        if let source, !(record.source?.isExactly(source) ?? false) { return false }
        if let tenantID, !(record.tenant?.isExactly(tenantID) ?? false) { return false }
        return true
    }
}
