#if Postgres
    import Tidelog

    /// The usual append, of one event and with no condition but on its stream, as one statement: it costs the server
    /// less than a call of ``StoreFunction``, and does nothing at all where something is not as usual. The function,
    /// called next, looks at everything anew and judges. ``SingleAppendText`` says how it is done.
    struct SingleAppend: Sendable {
        private let expectation: SingleAppendText.Expectation
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
            var expectation: ExpectedRevision?
            for (name, expected) in condition.revisions {
                guard let stream = event.stream, stream.utf8.elementsEqual(name.utf8) else { return nil }
                expectation = expected
            }
            self.stream = event.stream
            self.byteCount = 2 * (event.payload.count + event.metadata.bytes.count) + 500
            let (microseconds, rest) = RowEncoder.split(event.timestamp.nanosecondsSinceEpoch)
            let (metadata, metadataRaw) =
                event.metadata.isEmpty
                ? (.jsonbNull, .bytesNull) : Self.columns(event.metadata.bytes, isJSON: true)
            let (payload, payloadRaw) = Self.columns(event.payload.bytes, isJSON: event.mayBeJSON)
            var parameters: [PostgresValue] = []
            parameters.reserveCapacity(SingleAppendText.mostParameters)
            parameters += [
                context.key, .text(event.id.description), .timestamp(microseconds), .bigint(Int64(rest)),
                .bigint(Int64(event.schemaVersion)), .text(event.type), Self.text(event.source),
                Self.text(event.payload.contentType), Self.text(event.tenant),
                Self.text(event.correlationID?.description), Self.text(event.causationID?.description),
                metadata, metadataRaw, payload, payloadRaw,
            ]
            if let stream = event.stream { parameters.append(.text(stream)) }
            switch expectation {
            case _ where event.stream == nil: self.expectation = .streamless
            case nil, .any: self.expectation = .any
            case .streamExists: self.expectation = .exists
            case .noStream:
                self.expectation = .exact
                parameters.append(.bigintNull)
            case .some(let exact):
                self.expectation = .exact
                parameters.append(.bigint(StoreFunction.Expectation.number(exact)))
            }
            self.parameters = parameters
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

        /// The statement; it answers one row, or none.
        ///
        /// - Parameter row: the log's row as this connection wrote it, if it may be as it was.
        func statement(in context: StoreContext, after row: WrittenRow?) -> PostgresStatement {
            let shape = SingleAppendText.Shape(expectation: self.expectation, isNext: row != nil)
            var parameters = self.parameters
            if let row {
                parameters.append(.transaction(row.writer))
                parameters.append(.bigint(row.nextPosition))
            }
            return PostgresStatement(
                text: context.singleAppendTexts[shape.number], parameters: parameters, place: .append(shape))
        }

        /// What the row says that the statement answered: what the append brought, and the log's row as it is now;
        /// nil where the next append must look at more than that row.
        func result(_ row: PostgresRow) throws(PostgresError) -> (AppendResult, WrittenRow?) {
            let number = try row.requiredInteger(0)
            let position = Position(UInt64(clamping: number))
            var streams: [(name: String, lastRevision: Revision)] = []
            if let stream = self.stream {
                streams = [(stream, Revision(UInt64(clamping: try row.requiredInteger(1))))]
            }
            let writer = UInt32(truncatingIfNeeded: try row.requiredInteger(2))
            return (
                AppendResult(positions: position..<position.advanced(by: 1), streams: streams),
                row.boolean(3) ? nil : WrittenRow(writer: writer, nextPosition: number + 1)
            )
        }
    }
#endif
