#if Postgres
    import Tidelog

    /// The usual append, of one event and with no condition but on its stream, as one statement: it costs the server
    /// less than a call of ``StoreFunction``, and does nothing at all where something is not as usual. The function,
    /// called next, looks at everything anew and judges. ``SingleAppendText`` says how it is done.
    struct SingleAppend: Sendable {
        let expectation: SingleAppendText.Expectation
        /// Where the stream is expected to be, if that is ``SingleAppendText/Expectation/exact``; nil: nowhere.
        let expected: Int64?
        let id: String
        let stream: String?
        private let parameters: [PostgresValue]
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
            self.id = event.id.description
            self.expected = expectation.flatMap(\.exactRevision).map { Int64(clamping: $0.rawValue) }
            switch expectation {
            case _ where event.stream == nil: self.expectation = .streamless
            case nil, .any: self.expectation = .any
            case .streamExists: self.expectation = .exists
            default: self.expectation = .exact
            }
            var parameters: [PostgresValue] = []
            parameters.reserveCapacity(SingleAppendText.mostParameters)
            parameters += [
                context.key, .text(self.id), .timestamp(microseconds), .bigint(Int64(rest)),
                .bigint(Int64(event.schemaVersion)), .text(event.type), Self.text(event.source),
                Self.text(event.payload.contentType), Self.text(event.tenant),
                Self.text(event.correlationID?.description), Self.text(event.causationID?.description),
                metadata, metadataRaw, payload, payloadRaw,
            ]
            if let stream = event.stream { parameters.append(.text(stream)) }
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

        /// The statement: it concerns one row, or none if something is in its way.
        func statement(in context: StoreContext, _ plan: AppendPlan) -> PostgresStatement {
            var parameters = self.parameters
            if [.exact, .met].contains(plan.shape.expectation) {
                parameters.append(plan.last.map { .bigint($0) } ?? .bigintNull)
            }
            if plan.shape.knowledge != .nothing {
                parameters.append(.bigint(plan.position))
                parameters.append(.bigint(plan.changes))
            }
            return PostgresStatement(
                text: context.singleAppendTexts[plan.shape.number], parameters: parameters,
                place: .append(plan.shape))
        }

        /// What an append brought.
        struct Answer {
            var position: Int64
            /// Of no meaning where there is no stream.
            var revision: Int64
            /// The log before; see ``AppendChain/note(_:_:revision:before:)``.
            var log: AppendChain.Log?
        }

        /// What a row says that the statement answered.
        func answer(_ row: PostgresRow, _ plan: AppendPlan) throws(PostgresError) -> Answer {
            if plan.shape.answersRevision {
                return Answer(position: plan.position, revision: try row.requiredInteger(0))
            }
            let position = try row.requiredInteger(0)
            var log: AppendChain.Log?
            if !row.boolean(4) {
                log = AppendChain.Log(
                    nextPosition: position, changes: try row.requiredInteger(2), newestID: row.bytes(3) ?? [])
            }
            return Answer(position: position, revision: try row.integer(1) ?? 0, log: log)
        }

        /// What an append as planned brought where the statement answers no row.
        func answer(_ plan: AppendPlan) -> Answer {
            Answer(position: plan.position, revision: plan.last.map { $0 &+ 1 } ?? 0)
        }

        /// The same, for the caller.
        func result(_ answer: Answer) -> AppendResult {
            let position = Position(UInt64(clamping: answer.position))
            let revision = Revision(UInt64(clamping: answer.revision))
            return AppendResult(
                positions: position..<position.advanced(by: 1),
                streams: self.stream.map { [($0, revision)] } ?? [])
        }
    }
#endif
