#if Postgres
    import Tidelog

    /// An append as the database's function takes it: see ``StoreFunction``.
    struct AppendRequest: Sendable {
        let events: [Event]
        private let condition: AppendCondition
        private let snapshots: [StreamSnapshot]
        /// The parameters of the function; nil as long as it is not known whether it is called.
        private let parameters: [PostgresValue]?
        /// The streams; nil as long as it is not known whether they are asked for.
        private let table: StreamTable?
        /// What must not be there, with the query for the first event that is.
        let absences: [(absence: AppendCondition.Absence, query: PostgresStatement)]
        /// About how large it is when it is sent.
        let byteCount: Int
        /// The same as one statement, if it is of that kind.
        let single: SingleAppend?

        init(
            _ events: [Event], _ condition: AppendCondition, _ snapshots: [StreamSnapshot],
            in context: StoreContext
        ) throws(EventLogError) {
            self.events = events
            self.condition = condition
            self.snapshots = snapshots
            self.single = SingleAppend(events, condition, snapshots, in: context)
            if let single {
                (self.table, self.parameters) = (nil, nil)
                self.byteCount = single.byteCount
            } else {
                var rows = AppendRows()
                let table = StreamTable(events, condition) { rows.add($0, stream: $1) }
                self.table = table
                self.parameters = Self.parameters(table, rows, snapshots, in: context)
                self.byteCount = rows.byteCount
            }
            var absences: [(AppendCondition.Absence, PostgresStatement)] = []
            for absence in condition.absences {
                let query = try absence.boundedQuery()
                absences.append((absence, StoreSelection(query, in: context).firstPosition()))
            }
            self.absences = absences
        }

        /// The months of the events' timestamps, for partitions.
        var months: Set<Int> { Set(self.events.map { Partitions.month(of: $0.timestamp) }) }

        private var streams: StreamTable {
            self.table ?? StreamTable(self.events, self.condition) { _, _ in }
        }

        /// About how many bytes it takes once it is encoded, before that is done: payloads may be sent in two forms.
        static func estimatedBytes(
            _ events: [Event], _ condition: AppendCondition, _ snapshots: [StreamSnapshot]
        ) -> Int {
            let ofEvents = events.reduce(0) { $0 + 2 * ($1.payload.count + $1.metadata.bytes.count) + 500 }
            return snapshots.reduce(ofEvents + 100 * condition.revisions.count) { $0 + $1.state.count + 100 }
        }

        /// The parameters of the function, of which `p_ruled_out` is known later.
        private static func parameters(
            _ table: StreamTable, _ rows: AppendRows, _ snapshots: [StreamSnapshot], in context: StoreContext
        ) -> [PostgresValue] {
            [context.key, .boolean(false)] + table.values + rows.values + self.values(of: snapshots)
        }

        /// The call of the function.
        func call(in context: StoreContext, isRuledOut: Bool) -> PostgresStatement {
            var parameters = self.parameters ?? self.makeParameters(in: context)
            parameters[1] = .boolean(isRuledOut)
            return PostgresStatement(text: context.appendText, parameters: parameters)
        }

        private func makeParameters(in context: StoreContext) -> [PostgresValue] {
            var rows = AppendRows()
            let table = StreamTable(self.events, self.condition) { rows.add($0, stream: $1) }
            return Self.parameters(table, rows, self.snapshots, in: context)
        }

        private static func values(of snapshots: [StreamSnapshot]) -> [PostgresValue] {
            var newest: [[UInt8]: StreamSnapshot] = [:]
            for snapshot in snapshots { newest[Array(snapshot.stream.utf8)] = snapshot }
            var (streams, revisions) = (PostgresArray(.text), PostgresArray(.bigint))
            var (kinds, states) = (PostgresArray(.text), PostgresArray(.bytes))
            for snapshot in newest.values {
                streams.append(text: snapshot.stream)
                revisions.append(number: Int64(clamping: snapshot.revision.rawValue))
                kinds.append(text: snapshot.schema)
                states.append(bytes: snapshot.state[...])
            }
            return [.array(streams), .array(revisions), .array(kinds), .array(states)]
        }

        // MARK: Answers

        /// What the function answered, as callers see it.
        ///
        /// - Parameter ruledOut: the number of the absence that does not hold, and the event that stands
        ///   against it.
        /// - Returns: nil if events of these ids are there: then they are to be compared.
        func result(
            _ answer: AppendAnswer, ruledOut: (index: Int, position: Position)?
        ) -> Result<AppendResult, EventLogError>? {
            switch answer.status {
            case .known: return nil
            case .stored:
                let table = self.streams
                var streams: [(name: String, lastRevision: Revision)] = []
                for (index, count) in table.counts.enumerated() where count > 0 {
                    let before = answer.revisions[index].map { $0 + 1 } ?? 0
                    streams.append((table.names[index], Revision(before + count - 1)))
                }
                return .success(
                    AppendResult(
                        positions: Position(answer.first)..<Position(answer.last), streams: streams))
            case .conflict:
                let (index, table) = (Int(answer.first) - 1, self.streams)
                let actual = answer.revisions[index].map { Revision($0) }
                return .failure(
                    EventLogError(
                        .conflict,
                        "stream '\(table.names[index])' \(actual.map { "is at revision \($0)" } ?? "has no events"), "
                            + "expected \(table.expectations[index]); load it again and decide anew",
                        actualRevision: actual))
            case .deleted:
                return .failure(
                    EventLogError(
                        .streamDeleted,
                        "stream '\(self.streams.names[Int(answer.first) - 1])' was deleted and takes no more events; "
                            + "append to a stream of another name"))
            case .ruledOut:
                guard let ruledOut else { return .failure(Self.unexpected) }
                return .failure(self.absences[ruledOut.index].absence.conflict(at: ruledOut.position))
            case .missing:
                return .failure(
                    EventLogError(.notFound, "the log was removed from the database; open the store again"))
            }
        }

        /// The answer to an append whose ids are known, by the events that are there.
        ///
        /// - Parameter isRepeat: whether the answer says that it is a repeat.
        func result(known stored: [StoredEvent], isRepeat: Bool) -> Result<AppendResult, EventLogError> {
            let isSame =
                stored.count == self.events.count
                && zip(stored, self.events).allSatisfy { stored, event in event.isRepeat(of: stored.event) }
            guard isSame, let first = stored.first?.position else {
                let position = stored.first { known in self.events.contains { $0.id == known.id } }?.position
                return .failure(
                    EventLogError(
                        .duplicateEvent,
                        "an event's id is in the store already, and this is not the append that brought it: "
                            + "repeat that one whole, or give new events new ids",
                        positions: position.map { $0..<$0.advanced(by: 1) }))
            }
            var last: [[UInt8]: Revision] = [:]
            for event in stored {
                if let stream = event.stream, let revision = event.revision {
                    last[Array(stream.utf8)] = revision
                }
            }
            let table = self.streams
            let streams = zip(table.names, table.counts).filter { $0.1 > 0 }.map { name, _ in
                (name: name, lastRevision: last[Array(name.utf8)] ?? .zero)
            }
            return .success(
                AppendResult(
                    positions: first..<first.advanced(by: stored.count), streams: streams, isRepeat: isRepeat)
            )
        }

        static var unexpected: EventLogError {
            EventLogError(.inputOutput, "the database's function answered what it cannot: update the program")
        }
    }

    /// A row that the function answered.
    struct AppendAnswer {
        var status: StoreFunction.Status
        var first: UInt64
        var last: UInt64
        /// The streams' last revisions before.
        var revisions: [UInt64?]

        init(_ row: PostgresRow) throws(PostgresError) {
            guard let status = StoreFunction.Status(rawValue: try row.requiredInteger(0)) else {
                throw PostgresError(.newerSchema, "the database's function is of a newer Tidelog")
            }
            self.status = status
            self.first = UInt64(clamping: try row.integer(1) ?? 0)
            self.last = UInt64(clamping: try row.integer(2) ?? 0)
            self.revisions = (row.text(3) ?? "{}").dropFirst().dropLast().split(separator: ",")
                .map { UInt64($0) }
        }
    }

    /// The streams of an append, numbered as they come; their names' bytes tell them apart.
    private struct StreamTable {
        private(set) var names: [String] = []
        private(set) var counts: [UInt64] = []
        private(set) var expectations: [ExpectedRevision] = []
        private var numbers: [[UInt8]: Int] = [:]

        /// The streams of `events`, lending each event with the number of its stream and its place among those of
        /// the append, and of what `condition` expects.
        init(
            _ events: [Event], _ condition: AppendCondition,
            _ body: (Event, (number: Int32, place: Int64)?) -> Void
        ) {
            for event in events {
                var place: (Int32, Int64)?
                if let stream = event.stream { place = self.take(stream) }
                body(event, place)
            }
            for (name, expectation) in condition.revisions { self.expect(name, expectation) }
        }

        private mutating func number(of name: String) -> Int {
            let key = Array(name.utf8)
            if let number = self.numbers[key] { return number }
            self.numbers[key] = self.names.count
            self.names.append(name)
            self.counts.append(0)
            self.expectations.append(.any)
            return self.names.count - 1
        }

        /// The number of an event's stream, from 1, and the event's place among those of the append.
        private mutating func take(_ name: String) -> (number: Int32, place: Int64) {
            let number = self.number(of: name)
            self.counts[number] += 1
            return (Int32(number + 1), Int64(self.counts[number]))
        }

        private mutating func expect(_ name: String, _ expectation: ExpectedRevision) {
            self.expectations[self.number(of: name)] = expectation
        }

        var values: [PostgresValue] {
            var (streams, expected) = (PostgresArray(.text), PostgresArray(.bigint))
            for (index, name) in self.names.enumerated() {
                streams.append(text: name)
                let number = StoreFunction.Expectation.number(self.expectations[index])
                let isUnwritten = self.counts[index] == 0 && number == StoreFunction.Expectation.any
                expected.append(number: isUnwritten ? StoreFunction.Expectation.anyUnwritten : number)
            }
            return [.array(streams), .array(expected)]
        }
    }

    /// The events of an append, a column each.
    private struct AppendRows {
        private var streams = PostgresArray(.integer), places = PostgresArray(.bigint)
        private var times = PostgresArray(.timestamp), nanoseconds = PostgresArray(.smallint)
        private var versions = PostgresArray(.bigint)
        private var ids = PostgresArray(.text), types = PostgresArray(.text), sources = PostgresArray(.text)
        private var contentTypes = PostgresArray(.text), tenants = PostgresArray(.text)
        private var correlations = PostgresArray(.text), causations = PostgresArray(.text)
        private var metadata = PostgresArray(.jsonb), metadataRaw = PostgresArray(.bytes)
        private var payloads = PostgresArray(.jsonb), payloadsRaw = PostgresArray(.bytes)

        mutating func add(_ event: Event, stream: (number: Int32, place: Int64)?) {
            self.streams.append(number: stream?.number)
            // Revisions begin at 0 after "no revision", which counts as -1.
            self.places.append(number: stream?.place)
            let (microseconds, rest) = RowEncoder.split(event.timestamp.nanosecondsSinceEpoch)
            self.times.append(number: microseconds)
            self.nanoseconds.append(number: rest)
            self.versions.append(number: Int64(event.schemaVersion))
            self.ids.append(text: event.id.description)
            self.types.append(text: event.type)
            self.sources.append(text: event.source)
            self.contentTypes.append(text: event.payload.contentType)
            self.tenants.append(text: event.tenant)
            self.correlations.append(text: event.correlationID?.description)
            self.causations.append(text: event.causationID?.description)
            if event.metadata.isEmpty {
                self.metadata.appendNull()
                self.metadataRaw.appendNull()
            } else {
                Self.add(event.metadata.bytes, isJSON: true, to: &self.metadata, &self.metadataRaw)
            }
            Self.add(event.payload.bytes, isJSON: event.mayBeJSON, to: &self.payloads, &self.payloadsRaw)
        }

        private static func add(
            _ bytes: ArraySlice<UInt8>, isJSON: Bool, to json: inout PostgresArray, _ raw: inout PostgresArray
        ) {
            let form = isJSON ? bytes.withUnsafeBytes { JSONBForm($0) } : .none
            if form == .none { json.appendNull() } else { json.append(jsonb: bytes) }
            if form == .exact { raw.appendNull() } else { raw.append(bytes: bytes) }
        }

        private var columns: [PostgresArray] {
            [
                self.streams, self.places, self.times, self.nanoseconds, self.versions, self.ids, self.types,
                self.sources, self.contentTypes, self.tenants, self.correlations, self.causations,
                self.metadata, self.metadataRaw, self.payloads, self.payloadsRaw,
            ]
        }

        var values: [PostgresValue] { self.columns.map { .array($0) } }

        var byteCount: Int { self.columns.reduce(0) { $0 + $1.byteCount } }
    }
#endif
