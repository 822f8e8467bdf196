#if Postgres
    import CTidelogPostgres

    /// A parameter of a statement, sent in binary and never part of the statement's text.
    enum PostgresValue {
        case null
        case bigintNull
        case bytesNull
        case textNull
        case jsonbNull
        case bigint(Int64)
        case text(String)
        case bytes([UInt8])
        case jsonb(ArraySlice<UInt8>)
        case uuid(UInt64, UInt64)
        case boolean(Bool)
        case array(PostgresArray)
        /// Microseconds since 2000-01-01T00:00:00Z.
        case timestamp(Int64)

        /// The type's number in PostgreSQL's catalogue, which never changes.
        var typeNumber: UInt32 {
            switch self {
            case .null: 0
            case .bigint, .bigintNull: 20
            case .text, .textNull: 25
            case .bytes, .bytesNull: 17
            case .jsonb, .jsonbNull: 3802
            case .uuid: 2950
            case .boolean: 16
            case .array(let array): array.arrayType
            case .timestamp: 1184
            }
        }

        /// About how many bytes the binary form has.
        var byteCount: Int {
            switch self {
            case .text(let value): value.utf8.count
            case .bytes(let value): value.count
            case .jsonb(let text): text.count
            case .array(let array): array.byteCount
            default: 16
            }
        }

        /// Writes the binary form, as the type's receive function takes it; answers how many bytes it has, nil for
        /// null.
        func write(to bytes: inout [UInt8]) -> Int? {
            let start = bytes.count
            switch self {
            case .null, .bigintNull, .bytesNull, .textNull, .jsonbNull: return nil
            case .bigint(let value), .timestamp(let value): bytes.append(bigEndian: value)
            case .text(let value): bytes.append(contentsOf: value.utf8)
            case .bytes(let value): bytes.append(contentsOf: value)
            case .jsonb(let text):
                bytes.append(1)  // the version of the binary form
                bytes.append(contentsOf: text)
            case .uuid(let high, let low):
                bytes.append(bigEndian: high)
                bytes.append(bigEndian: low)
            case .boolean(let value): bytes.append(value ? 1 : 0)
            case .array(let array): array.write(to: &bytes)
            }
            return bytes.count - start
        }
    }

    /// One row of an answer in binary form; valid only while it is lent.
    struct PostgresRow {
        let result: OpaquePointer
        let row: Int32

        /// The column's bytes; nil for null.
        func column(_ index: Int32) -> UnsafeRawBufferPointer? {
            let count = PQgetlength(self.result, self.row, index)
            if count == 0, PQgetisnull(self.result, self.row, index) == 1 { return nil }
            return UnsafeRawBufferPointer(
                start: PQgetvalue(self.result, self.row, index), count: Int(count))
        }

        func isNull(_ index: Int32) -> Bool { self.column(index) == nil }

        /// An integer of two, four or eight bytes; nil for null.
        func integer(_ index: Int32) throws(PostgresError) -> Int64? {
            guard let bytes = self.column(index) else { return nil }
            switch bytes.count {
            case 2: return Int64(Int16(bigEndian: bytes.loadUnaligned(as: Int16.self)))
            case 4: return Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
            case 8: return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
            default: throw Self.unexpected("an integer", bytes.count)
            }
        }

        func boolean(_ index: Int32) -> Bool { self.column(index)?.first == 1 }

        func text(_ index: Int32) -> String? {
            self.column(index).map { String(decoding: $0, as: UTF8.self) }
        }

        func bytes(_ index: Int32) -> [UInt8]? { self.column(index).map { Array($0) } }

        func uuid(_ index: Int32) throws(PostgresError) -> (UInt64, UInt64)? {
            guard let bytes = self.column(index) else { return nil }
            guard bytes.count == 16 else { throw Self.unexpected("a uuid", bytes.count) }
            return (
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }

        /// An integer that must be there.
        func requiredInteger(_ index: Int32) throws(PostgresError) -> Int64 {
            guard let value = try self.integer(index) else {
                throw PostgresError(.server, "the server answered null where a number must stand")
            }
            return value
        }

        private static func unexpected(_ what: String, _ count: Int) -> PostgresError {
            PostgresError(.server, "the server answered \(count) bytes where \(what) must stand")
        }
    }
#endif
