#if Postgres
    import Tidelog

    /// The columns of the table of events, in the order in which rows are written and read.
    ///
    /// | column | holds |
    /// | --- | --- |
    /// | `log_id` | the log's UUID |
    /// | `position`, `revision`, `stream` | the event's places |
    /// | `id`, `type`, `source`, `content_type`, `tenant_id`, `correlation_id`, `causation_id` | its names |
    /// | `occurred_at`, `nanoseconds` | its timestamp: to the microsecond, and the 0 to 999 nanoseconds beyond |
    /// | `metadata`, `payload` | as `jsonb`, where it is JSON that `jsonb` can hold |
    /// | `metadata_raw`, `payload_raw` | the bytes, unless the column of `jsonb` gives exactly them back |
    enum EventColumns {
        static let names = [
            "log_id", "position", "revision", "occurred_at", "nanoseconds", "schema_version", "id", "type",
            "stream", "source", "content_type", "tenant_id", "correlation_id", "causation_id", "metadata",
            "metadata_raw", "payload", "payload_raw",
        ]
        static let list = names.joined(separator: ", ")

        /// The columns as ``RowDecoder`` takes them: all but the log's, `jsonb` as PostgreSQL's text, and that only
        /// where it is needed.
        static let selection =
            names.dropFirst().map {
                switch $0 {
                case "metadata": "CASE WHEN metadata_raw IS NULL THEN metadata::text END"
                case "payload": "CASE WHEN payload_raw IS NULL THEN payload::text END"
                default: $0
                }
            }.joined(separator: ", ")
    }

    /// Writes events as rows of a binary `COPY` (PostgreSQL, COPY, "Binary Format").
    struct RowEncoder {
        /// The log's UUID.
        let logID: (UInt64, UInt64)
        /// What was written: the header and whole rows.
        private(set) var bytes: [UInt8] = []
        /// Rows that were written.
        private(set) var count = 0

        /// Microseconds from 1970-01-01 to 2000-01-01.
        static let epochOffset: Int64 = 946_684_800_000_000

        init(logID: (UInt64, UInt64), reserving bytes: Int = 0) {
            self.logID = logID
            self.bytes.reserveCapacity(bytes)
            self.bytes.append(contentsOf: "PGCOPY\n".utf8)
            self.bytes.append(contentsOf: [0xFF, 0x0D, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }

        /// Ends the data.
        mutating func finish() { self.bytes.append(bigEndian: Int16(-1)) }

        /// Microseconds since 2000 and the nanoseconds beyond, 0 to 999.
        static func split(_ nanoseconds: Int64) -> (microseconds: Int64, rest: Int16) {
            let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1000)
            return remainder < 0
                ? (quotient - 1 - Self.epochOffset, Int16(remainder + 1000))
                : (quotient - Self.epochOffset, Int16(remainder))
        }

        /// Writes one event.
        ///
        /// - Throws: ``PostgresError`` with code `unsupportedEvent` for places beyond 2⁶³.
        mutating func append(_ stored: StoredEvent) throws(PostgresError) {
            let event = stored.event
            guard let position = Int64(exactly: stored.position.rawValue),
                stored.revision.map({ $0.rawValue <= UInt64(Int64.max) }) ?? true
            else {
                throw PostgresError(
                    .unsupportedEvent, "position \(stored.position) is more than PostgreSQL's bigint holds",
                    positions: stored.position..<Position(stored.position.rawValue))
            }
            let (microseconds, rest) = Self.split(event.timestamp.nanosecondsSinceEpoch)
            self.count += 1
            self.bytes.append(bigEndian: Int16(EventColumns.names.count))
            self.bytes.append(bigEndian: Int32(16))
            self.bytes.append(bigEndian: self.logID.0)
            self.bytes.append(bigEndian: self.logID.1)
            self.append(number: position)
            self.append(number: stored.revision.map { Int64(bitPattern: $0.rawValue) })
            self.append(number: microseconds)
            self.bytes.append(bigEndian: Int32(2))
            self.bytes.append(bigEndian: rest)
            self.append(number: Int64(event.schemaVersion))
            self.append(text: event.id.description)
            self.append(text: event.type)
            self.append(text: event.stream)
            self.append(text: event.source)
            self.append(text: event.payload.contentType)
            self.append(text: event.tenant)
            self.append(text: event.correlationID?.description)
            self.append(text: event.causationID?.description)
            if event.metadata.isEmpty {
                self.appendNull()
                self.appendNull()
            } else {
                self.append(json: event.metadata.bytes, isJSON: true)
            }
            self.append(json: event.payload.bytes, isJSON: event.mayBeJSON)
        }

        private mutating func append(number: Int64?) {
            guard let number else { return self.appendNull() }
            self.bytes.append(bigEndian: Int32(8))
            self.bytes.append(bigEndian: number)
        }

        private mutating func append(text: String?) {
            guard let text else { return self.appendNull() }
            self.bytes.append(bigEndian: Int32(text.utf8.count))
            self.bytes.append(contentsOf: text.utf8)
        }

        /// Writes the column of `jsonb`, and that of the bytes.
        private mutating func append(json: ArraySlice<UInt8>, isJSON: Bool) {
            let form = isJSON ? json.withUnsafeBytes { JSONBForm($0) } : .none
            // Growing by doubling would take twice the memory of a large one.
            if json.count > 1 << 20 {
                let copies = form == .none || form == .exact ? 1 : 2
                self.bytes.reserveCapacity(self.bytes.count + copies * json.count + 64)
            }
            if form == .none {
                self.appendNull()
            } else {
                // The binary form of jsonb: a version, and the text.
                self.bytes.append(bigEndian: Int32(json.count + 1))
                self.bytes.append(1)
                self.bytes.append(contentsOf: json)
            }
            if form == .exact {
                self.appendNull()
            } else {
                self.bytes.append(bigEndian: Int32(json.count))
                self.bytes.append(contentsOf: json)
            }
        }

        private mutating func appendNull() { self.bytes.append(bigEndian: Int32(-1)) }
    }

    extension Event {
        /// The tenant as the log keeps it beside the metadata.
        var tenant: String? {
            guard let tenant = self.metadata.tenantID, !tenant.isEmpty else { return nil }
            return tenant
        }

        /// Whether the payload is said to be JSON, or not said to be anything (CloudEvents takes it for JSON).
        var mayBeJSON: Bool {
            self.payload.contentType == nil || self.payload.isDeclaredJSON
        }
    }
#endif
