import TidelogStorage

extension StoredEvent {
    /// An event of the fields that another store kept apart, the tenant among them, so that the metadata need not
    /// be looked into.
    ///
    /// - Parameter metadata: as ``EventMetadata`` keeps them: an object without white space, or nothing.
    package init(
        position: UInt64, revision: UInt64?, id: EventID, type: String, stream: String?, timestamp: Timestamp,
        source: String?, contentType: String?, tenant: String?, correlationID: EventID?,
        causationID: EventID?,
        schemaVersion: UInt32, metadata: ArraySlice<UInt8>, payload: ArraySlice<UInt8>
    ) {
        self.placed = PlacedRecord(
            position: position, revision: revision,
            record: EventRecord(
                id: id.identifier, type: type, stream: stream, timestamp: timestamp.nanosecondsSinceEpoch,
                source: source, contentType: contentType, tenant: tenant == "" ? nil : tenant,
                correlation: correlationID?.identifier, causation: causationID?.identifier,
                schemaVersion: schemaVersion, metadata: metadata, payload: payload))
    }
}

extension EventID {
    /// The id with this text, in UTF-8.
    package init(utf8 text: UnsafeRawBufferPointer) {
        self.identifier =
            UUIDText.parse(text).map { .uuid($0.0, $0.1) } ?? .text(String(decoding: text, as: UTF8.self))
    }
}
