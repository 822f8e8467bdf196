#if Postgres
    import Tidelog

    /// Makes events of rows with the columns of ``EventColumns/selection``.
    enum RowDecoder {
        /// - Throws: ``PostgresError`` with code `server` for a row that no export wrote.
        static func event(_ row: PostgresRow) throws(PostgresError) -> StoredEvent {
            let position = try row.requiredInteger(1)
            let revision = try row.integer(2)
            let microseconds = try row.requiredInteger(3)
            let rest = try row.requiredInteger(4)
            let version = try row.requiredInteger(5)
            guard let id = row.text(6), let type = row.text(7), position >= 0, revision ?? 0 >= 0,
                (0..<1000).contains(rest), let schemaVersion = UInt32(exactly: version),
                let timestamp = Self.timestamp(microseconds, rest)
            else {
                throw PostgresError(
                    .server, "the row at position \(position) is none that Tidelog wrote: run `--verify`")
            }
            var metadata = EventMetadata()
            if let bytes = row.bytes(15) ?? row.column(14).map({ JSONBForm.gather($0) }) {
                metadata = EventMetadata(stored: bytes[...])
            }
            let payload = row.bytes(17) ?? row.column(16).map { JSONBForm.gather($0) } ?? []
            let event = Event(
                id: EventID(id), type: type, stream: row.text(8),
                payload: EventPayload(bytes: payload, contentType: row.text(10)), metadata: metadata,
                timestamp: timestamp, source: row.text(9),
                correlationID: row.text(12).map { EventID($0) },
                causationID: row.text(13).map { EventID($0) },
                schemaVersion: schemaVersion)
            return StoredEvent(
                event, position: Position(UInt64(position)), revision: revision.map { Revision(UInt64($0)) })
        }

        static func timestamp(_ microseconds: Int64, _ rest: Int64) -> Timestamp? {
            let (shifted, first) = microseconds.addingReportingOverflow(RowEncoder.epochOffset)
            let (high, second) = shifted.multipliedReportingOverflow(by: 1000)
            let (sum, third) = high.addingReportingOverflow(rest)
            // The lowest timestamps lie below what whole microseconds times 1,000 can hold.
            if !first, second, shifted < 0 {
                let (base, fourth) = (shifted + 1).multipliedReportingOverflow(by: 1000)
                let (low, fifth) = base.addingReportingOverflow(rest - 1000)
                return fourth || fifth ? nil : Timestamp(nanosecondsSinceEpoch: low)
            }
            return first || second || third ? nil : Timestamp(nanosecondsSinceEpoch: sum)
        }
    }
#endif
