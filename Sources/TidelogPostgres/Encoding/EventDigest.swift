#if Postgres
    import Tidelog

    /// Digests that the log's side and the database's side compute alike, so that they can be compared without
    /// moving rows. They cover every column but the log's id; where bytes are kept, the bytes.
    enum EventDigest {
        /// The digest of one event.
        static func digest(of stored: StoredEvent) -> [UInt8] {
            let event = stored.event
            var bytes: [UInt8] = []
            bytes.reserveCapacity(event.metadata.bytes.count + 400)
            bytes.append(bigEndian: stored.position.rawValue)
            if let revision = stored.revision {
                bytes.append(bigEndian: Int32(8))
                bytes.append(bigEndian: revision.rawValue)
            } else {
                bytes.append(bigEndian: Int32(-1))
            }
            let (microseconds, rest) = RowEncoder.split(event.timestamp.nanosecondsSinceEpoch)
            bytes.append(bigEndian: microseconds)
            bytes.append(bigEndian: rest)
            bytes.append(bigEndian: Int64(event.schemaVersion))
            for text in [
                event.id.description, event.type, event.stream, event.source, event.payload.contentType,
                event.tenant, event.correlationID?.description, event.causationID?.description,
            ] {
                guard let text else {
                    bytes.append(bigEndian: Int32(-1))
                    continue
                }
                bytes.append(bigEndian: Int32(text.utf8.count))
                bytes.append(contentsOf: text.utf8)
            }
            if event.metadata.isEmpty {
                bytes.append(0)
            } else {
                Self.add(event.metadata.bytes, to: &bytes)
            }
            var hash = SHA256()
            event.payload.bytes.withUnsafeBytes { raw in
                if event.mayBeJSON, JSONBForm(raw) == .exact {
                    bytes.append(2)
                    Self.spread(raw, into: &bytes)
                    bytes.withUnsafeBytes { hash.update($0) }
                } else {
                    // A payload may be large, and is not copied for this.
                    bytes.append(1)
                    bytes.withUnsafeBytes { hash.update($0) }
                    hash.update(raw)
                }
            }
            return hash.finish()
        }

        private static func add(_ json: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
            json.withUnsafeBytes { raw in
                if JSONBForm(raw) == .exact {
                    bytes.append(2)
                    Self.spread(raw, into: &bytes)
                } else {
                    bytes.append(1)
                    bytes.append(contentsOf: raw)
                }
            }
        }

        /// Appends JSON as PostgreSQL writes it. Growing by doubling would take twice the memory of a large text.
        private static func spread(_ raw: UnsafeRawBufferPointer, into bytes: inout [UInt8]) {
            var spaces = raw.count / 4
            if raw.count > 1 << 20 {
                spaces = raw.reduce(0) { $0 + ($1 == UInt8(ascii: ",") || $1 == UInt8(ascii: ":") ? 1 : 0) }
            }
            bytes.reserveCapacity(bytes.count + raw.count + spaces)
            JSONBForm.spread(raw, into: &bytes)
        }

        /// The same as an expression of SQL over the columns of `row`.
        static func expression(_ row: String) -> String {
            let text = { (column: String) in
                "coalesce(int4send(octet_length(\(row).\(column))) || convert_to(\(row).\(column), 'UTF8'), "
                    + #"'\xffffffff'::bytea)"#
            }
            let json = { (column: String) in
                #"CASE WHEN \#(row).\#(column)_raw IS NOT NULL THEN '\x01'::bytea || \#(row).\#(column)_raw "#
                    + #"WHEN \#(row).\#(column) IS NOT NULL THEN '\x02'::bytea || "#
                    + #"convert_to(\#(row).\#(column)::text, 'UTF8') ELSE '\x00'::bytea END"#
            }
            let parts =
                [
                    "int8send(\(row).position)",
                    "coalesce(int4send(8) || int8send(\(row).revision), int4send(-1))",
                    "timestamptz_send(\(row).occurred_at)", "int2send(\(row).nanoseconds)",
                    "int8send(\(row).schema_version)",
                ]
                + [
                    "id", "type", "stream", "source", "content_type", "tenant_id", "correlation_id",
                    "causation_id",
                ].map(text) + ["metadata", "payload"].map(json)
            return "sha256(" + parts.joined(separator: " || ") + ")"
        }

        /// Whether the `jsonb` beside kept bytes has their value, as SQL.
        static func agreement(_ row: String) -> String {
            ["metadata", "payload"].map { column in
                "(\(row).\(column) IS NULL OR \(row).\(column)_raw IS NULL OR "
                    + "\(row).\(column) = convert_from(\(row).\(column)_raw, 'UTF8')::jsonb)"
            }.joined(separator: " AND ")
        }
    }

    /// The digest of a sequence of events: of their digests, one after the other.
    struct RangeDigest {
        private var hash = SHA256()
        private(set) var count = 0

        mutating func add(_ stored: StoredEvent) {
            EventDigest.digest(of: stored).withUnsafeBytes { self.add(digest: $0) }
        }

        /// Adds an event by its digest.
        mutating func add(digest: UnsafeRawBufferPointer) {
            self.hash.update(digest)
            self.count += 1
        }

        consuming func finish() -> [UInt8] { self.hash.finish() }
    }
#endif
