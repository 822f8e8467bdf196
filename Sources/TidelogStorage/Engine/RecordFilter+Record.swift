extension RecordFilter {
    /// Whether an event satisfies everything that the filter demands. What is hidden of its stream is the
    /// caller's business.
    package func accepts(_ record: EventRecord, revision: UInt64?) -> Bool {
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
        if let revisions {
            guard let revision, revisions.contains(revision) else { return false }
        }
        if let types, !types.matches(record.type) { return false }
        if let since, record.timestamp < since { return false }
        if let until, record.timestamp >= until { return false }
        if let correlation, record.correlation != correlation { return false }
        if let causation, record.causation != causation { return false }
        if let source, !record.source.isExactly(source) { return false }
        if let tenant, !record.tenant.isExactly(tenant) { return false }
        return true
    }
}
