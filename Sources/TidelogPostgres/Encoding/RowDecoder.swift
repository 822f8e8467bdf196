#if Postgres
    import Glibc
    import Tidelog

    /// Makes events of rows with the columns of ``EventColumns/selection``. What rows have in common (types, media
    /// types, sources, tenants) is made once and shared.
    struct RowDecoder {
        private var types = TextCache(), contentTypes = TextCache()
        private var sources = TextCache(), tenants = TextCache()
        /// The stream of the row before: rows of one stream come one after the other.
        private var stream = ""

        /// - Throws: ``PostgresError`` with code `server` for a row that no export wrote.
        mutating func event(_ row: PostgresRow) throws(PostgresError) -> StoredEvent {
            var bytes = 0
            return try self.event(row, bytes: &bytes)
        }

        /// As ``event(_:)``, and adds to `bytes` about how many the event takes.
        mutating func event(_ row: PostgresRow, bytes: inout Int) throws(PostgresError) -> StoredEvent {
            let position = try row.requiredInteger(0)
            let revision = try row.integer(1)
            let microseconds = try row.requiredInteger(2)
            let rest = try row.requiredInteger(3)
            let version = try row.requiredInteger(4)
            guard let id = row.column(5), let type = row.column(6), position >= 0, revision ?? 0 >= 0,
                (0..<1000).contains(rest), let schemaVersion = UInt32(exactly: version),
                let timestamp = Self.timestamp(microseconds, rest)
            else {
                throw PostgresError(
                    .server, "the row at position \(position) is none that Tidelog wrote: run `--verify`")
            }
            let (metadata, payload) = Self.contents(
                (row.column(13), row.column(14)), (row.column(15), row.column(16)))
            bytes += metadata.count + payload.count + 200
            return StoredEvent(
                position: UInt64(position), revision: revision.map { UInt64($0) }, id: EventID(utf8: id),
                type: self.types.text(type), stream: row.column(7).map { self.stream($0) },
                timestamp: timestamp,
                source: row.column(8).map { self.sources.text($0) },
                contentType: row.column(9).map { self.contentTypes.text($0) },
                tenant: row.column(10).map { self.tenants.text($0) },
                correlationID: row.column(11).map { EventID(utf8: $0) },
                causationID: row.column(12).map { EventID(utf8: $0) },
                schemaVersion: schemaVersion, metadata: metadata, payload: payload)
        }

        private mutating func stream(_ bytes: UnsafeRawBufferPointer) -> String {
            let isSame = self.stream.utf8.withContiguousStorageIfAvailable { known in
                guard known.count == bytes.count, let left = known.baseAddress, let right = bytes.baseAddress
                else { return false }
                return memcmp(left, right, known.count) == 0
            }
            if isSame != true { self.stream = String(decoding: bytes, as: UTF8.self) }
            return self.stream
        }

        private typealias Column = UnsafeRawBufferPointer?

        /// Metadata and payload in one block, each from the text of its `jsonb` or from its bytes.
        private static func contents(
            _ metadata: (json: Column, raw: Column), _ payload: (json: Column, raw: Column)
        ) -> (metadata: ArraySlice<UInt8>, payload: ArraySlice<UInt8>) {
            func most(_ part: (json: Column, raw: Column)) -> Int { (part.raw ?? part.json)?.count ?? 0 }
            let capacity = most(metadata) + most(payload)
            if capacity == 0 { return ([], []) }
            var middle = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                func write(_ part: (json: Column, raw: Column)) {
                    let rest = UnsafeMutableBufferPointer(rebasing: buffer[count...])
                    if let raw = part.raw {
                        count += rest.initialize(fromContentsOf: raw)
                    } else if let json = part.json {
                        count += JSONBForm.gather(json, into: rest)
                    }
                }
                write(metadata)
                middle = count
                write(payload)
            }
            return (bytes[..<middle], bytes[middle...])
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

    /// Texts that were seen lately, found by their bytes.
    private struct TextCache {
        private struct Entry {
            var bytes: [UInt8] = []
            var text = ""
        }

        private var entries: [Entry] = []
        private static let size = 64
        /// Longer texts are not worth keeping.
        private static let longest = 128

        mutating func text(_ bytes: UnsafeRawBufferPointer) -> String {
            guard bytes.count <= Self.longest, let first = bytes.first, let last = bytes.last else {
                return String(decoding: bytes, as: UTF8.self)
            }
            if self.entries.isEmpty { self.entries = Array(repeating: Entry(), count: Self.size) }
            let middle = bytes[bytes.count / 2]
            let place = (bytes.count &+ Int(first) &* 5 &+ Int(middle) &* 3 &+ Int(last) &* 7) % Self.size
            let isKnown = self.entries[place].bytes.withUnsafeBytes { known in
                guard known.count == bytes.count, let left = known.baseAddress, let right = bytes.baseAddress
                else { return false }
                return memcmp(left, right, bytes.count) == 0
            }
            if !isKnown {
                self.entries[place] = Entry(bytes: Array(bytes), text: String(decoding: bytes, as: UTF8.self))
            }
            return self.entries[place].text
        }
    }
#endif
