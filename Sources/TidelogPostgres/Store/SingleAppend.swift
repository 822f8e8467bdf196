#if Postgres
    import Tidelog

    /// The usual append, of one event and with no condition but on its stream, as one statement: it costs the server
    /// less than a call of ``StoreFunction``, and does nothing at all where something is not as usual.
    ///
    /// A statement sees what was committed when it began, and may get the log's row only after another append. Then
    /// the row is not the one that it saw: it compares the row's next position, and who wrote it, once it has the
    /// row, and does nothing if they differ. Who changes what it looks at (events, and which streams are hidden)
    /// therefore writes that row. Likewise it does nothing if the id is there, the stream deleted or at another
    /// revision; the function, called next, looks at everything anew and judges.
    struct SingleAppend: Sendable {
        private let parameters: [PostgresValue]
        private let stream: String?
        /// About how large it is when it is sent.
        let byteCount: Int

        /// Nil for an append that is not of this kind.
        init?(
            _ events: [Event], _ condition: AppendCondition, _ snapshots: [StreamSnapshot],
            in context: StoreContext
        ) {
            guard events.count == 1, snapshots.isEmpty, condition.absences.isEmpty else { return nil }
            let event = events[0]
            var expectation = StoreFunction.Expectation.any
            for (name, expected) in condition.revisions {
                guard let stream = event.stream, stream.utf8.elementsEqual(name.utf8) else { return nil }
                expectation = StoreFunction.Expectation.number(expected)
            }
            self.stream = event.stream
            self.byteCount = 2 * (event.payload.count + event.metadata.bytes.count) + 500
            let (microseconds, rest) = RowEncoder.split(event.timestamp.nanosecondsSinceEpoch)
            let (metadata, metadataRaw) =
                event.metadata.isEmpty
                ? (.jsonbNull, .bytesNull) : Self.columns(event.metadata.bytes, isJSON: true)
            let (payload, payloadRaw) = Self.columns(event.payload.bytes, isJSON: event.mayBeJSON)
            self.parameters = [
                context.key, .text(event.id.description), Self.text(event.stream), .bigint(expectation),
                .timestamp(microseconds), .bigint(Int64(rest)), .bigint(Int64(event.schemaVersion)),
                .text(event.type), Self.text(event.source), Self.text(event.payload.contentType),
                Self.text(event.tenant), Self.text(event.correlationID?.description),
                Self.text(event.causationID?.description), metadata, metadataRaw, payload, payloadRaw,
            ]
        }

        private static func text(_ text: String?) -> PostgresValue { text.map { .text($0) } ?? .textNull }

        private static func columns(
            _ bytes: ArraySlice<UInt8>, isJSON: Bool
        ) -> (json: PostgresValue, raw: PostgresValue) {
            let form = isJSON ? bytes.withUnsafeBytes { JSONBForm($0) } : .none
            return (
                form == .none ? .jsonbNull : .jsonb(bytes), form == .exact ? .bytesNull : .bytes(Array(bytes))
            )
        }

        /// The statement; it answers the event's position and revision, or no row.
        func statement(in context: StoreContext) -> PostgresStatement {
            PostgresStatement(text: context.singleAppendText, parameters: self.parameters, place: .append)
        }

        /// What a row that the statement answered says.
        func result(_ row: PostgresRow) throws(PostgresError) -> AppendResult {
            let position = Position(UInt64(clamping: try row.requiredInteger(0)))
            var streams: [(name: String, lastRevision: Revision)] = []
            if let stream = self.stream {
                streams = [(stream, Revision(UInt64(clamping: try row.requiredInteger(1))))]
            }
            return AppendResult(positions: position..<position.advanced(by: 1), streams: streams)
        }

        static func text(_ names: PostgresNames) -> String {
            let (events, logs, streams) = (names.quoted(), names.quoted("_logs"), names.quoted("_streams"))
            // Each is looked up when it is needed, once, in the statement's snapshot.
            let last = """
                (SELECT r.revision FROM \(events) r WHERE r.log_id = $1 AND r.stream = $3 \
                ORDER BY r.revision DESC LIMIT 1)
                """
            return """
                WITH moved AS (
                  UPDATE \(logs) l SET next_position = l.next_position + 1 WHERE l.log_id = $1
                    AND l.xmin = (SELECT o.xmin FROM \(logs) o WHERE o.log_id = $1)
                    AND l.next_position = (SELECT o.next_position FROM \(logs) o WHERE o.log_id = $1)
                    AND \(StoreFunction.lookup(names, log: "$1", id: "$2")) IS NULL
                    AND NOT EXISTS (SELECT 1 FROM \(streams) s WHERE s.log_id = $1 AND s.stream = $3
                      AND (s.is_deleted OR s.last_revision > coalesce(\(last), -1)))
                    AND CASE $4 WHEN \(StoreFunction.Expectation.any) THEN true
                      WHEN \(StoreFunction.Expectation.exists) THEN \(last) IS NOT NULL
                      WHEN \(StoreFunction.Expectation.noStream) THEN \(last) IS NULL
                      ELSE \(last) IS NOT DISTINCT FROM $4 END
                  RETURNING l.next_position - 1 AS next_position)
                INSERT INTO \(events) (log_id, position, revision, occurred_at, nanoseconds, schema_version,
                    id, type, stream, source, content_type, tenant_id, correlation_id, causation_id,
                    metadata, metadata_raw, payload, payload_raw)
                  SELECT $1, m.next_position, CASE WHEN $3 IS NULL THEN NULL
                      WHEN $4 >= \(StoreFunction.Expectation.noStream) THEN $4 + 1 ELSE coalesce(\(last), -1) + 1 END,
                    $5, $6, $7, $2, $8, $3, $9, $10, $11, $12, $13, $14, $15, $16, $17 FROM moved m
                RETURNING position, revision
                """
        }
    }
#endif
