#if Postgres
    import Tidelog

    extension EventQuery {
        /// Whether it wants one stream, from its beginning or its end, and nothing else but a limit.
        var isStreamFromStart: Bool {
            self.streams.count == 1 && self.streamPrefix == nil && self.from == nil && self.to == nil
                && self.fromRevision == nil && self.toRevision == nil && self.types.isEmpty
                && self.since == nil
                && self.until == nil && self.correlationID == nil && self.causationID == nil
                && self.source == nil && self.tenantID == nil
        }
    }

    /// A query as statements of SQL. Their text depends on which criteria are set, never on their values.
    struct StoreSelection: Sendable {
        private let names: PostgresNames
        private var parameters: [PostgresValue]
        private var conditions: [String] = []
        private let isBackwards: Bool
        /// Whether rows are read in the order of revisions: in one stream that is the order of positions, and
        /// it has an index.
        let goesByRevision: Bool
        /// Whether the database may find and sort all that is still to be read for each page: no index has it in the
        /// order of positions.
        let sortsEachPage: Bool
        /// What the query asks for of positions and of revisions.
        private let positions: Range<Int64>
        private let revisions: Range<Int64>
        /// The statement of a first page, if it is one that is kept.
        private var streamText: String?
        /// The parameter that is the stream, where it is one.
        private var streamParameter: String?

        init(_ query: EventQuery, in context: StoreContext) {
            self.names = context.names
            self.parameters = [context.key]
            self.isBackwards = query.order == .newestFirst
            self.positions = Self.range(query.from?.rawValue, query.to?.rawValue)
            self.revisions = Self.range(query.fromRevision?.rawValue, query.toRevision?.rawValue)
            if query.isStreamFromStart, !query.streams[0].utf8.contains(0) {
                // The shape of a load of a stream, as it would come of what follows.
                self.parameters.append(.text(query.streams[0]))
                self.conditions = context.streamConditions
                (self.goesByRevision, self.sortsEachPage) = (true, false)
                self.streamText = context.streamTexts[self.isBackwards]
                return
            }
            let streams = Set(query.streams.map { Array($0.utf8) })
            self.goesByRevision = streams.count == 1
            self.sortsEachPage = streams.count > 1 || streams.isEmpty && query.streamPrefix != nil
            self.addStreams(query, streams.count)
            if !self.goesByRevision, query.fromRevision != nil || query.toRevision != nil {
                let low = self.add(.bigint(self.revisions.lowerBound))
                let high = self.add(.bigint(self.revisions.upperBound))
                self.conditions.append("e.revision >= \(low) AND e.revision < \(high)")
            }
            self.addTypes(query.types)
            self.addTimes(query)
            for (column, text) in [
                ("correlation_id", query.correlationID?.description),
                ("causation_id", query.causationID?.description), ("source", query.source),
                ("tenant_id", query.tenantID),
            ] {
                if let text { self.add("e.\(column) = ", text: text) }
            }
            self.conditions.append(
                self.streamParameter.map { Self.hiddenText(context.names, ofStream: $0) }
                    ?? context.hiddenText)
        }

        /// The condition that an event of a stream is not hidden by truncating or deleting it: one look, and one more
        /// bound of the index.
        static func hiddenText(_ names: PostgresNames, ofStream parameter: String) -> String {
            """
            e.revision >= coalesce((SELECT CASE WHEN s.is_deleted THEN \(Int64.max) ELSE s.first_revision END \
            FROM \(names.quoted("_streams")) s WHERE s.log_id = $1 AND s.stream = \(parameter)), 0)
            """
        }

        /// The condition that an event is not hidden by truncating or deleting its stream.
        static func hiddenText(_ names: PostgresNames) -> String {
            let hidden = "\(names.quoted("_streams")) s WHERE s.log_id = $1"
            // A log without truncated streams, the usual case, pays one look at a table that is empty.
            return
                "CASE WHEN (SELECT EXISTS (SELECT 1 FROM \(hidden))) THEN NOT EXISTS (SELECT 1 FROM \(hidden) "
                + "AND s.stream = e.stream AND (s.is_deleted OR e.revision < s.first_revision)) ELSE true END"
        }

        /// The statements of a page from the beginning, or the end, of a stream: their texts are long, and loading a
        /// stream is short.
        static func streamTexts(_ context: StoreContext) -> [Bool: String] {
            var texts: [Bool: String] = [:]
            for isBackwards in [false, true] {
                var query = EventQuery.stream("s")
                query.order = isBackwards ? .newestFirst : .oldestFirst
                texts[isBackwards] =
                    StoreSelection(query, in: context).page(0..<Int64.max, end: .max, limit: 1, offset: 0)
                    .text
            }
            return texts
        }

        private static func range(_ low: UInt64?, _ high: UInt64?) -> Range<Int64> {
            let low = Int64(clamping: low ?? 0)
            return low..<max(low, Int64(clamping: high ?? .max))
        }

        private mutating func add(_ value: PostgresValue) -> String {
            self.parameters.append(value)
            return "$\(self.parameters.count)"
        }

        /// A comparison with a text; one with a NUL is none that the database could hold.
        private mutating func add(_ comparison: String, text: String) {
            if text.utf8.contains(0) {
                self.conditions.append("false")
            } else {
                self.conditions.append(comparison + self.add(.text(text)))
            }
        }

        private mutating func addStreams(_ query: EventQuery, _ count: Int) {
            if count == 1 {
                self.add("e.stream = ", text: query.streams[0])
                if !query.streams[0].utf8.contains(0) { self.streamParameter = "$\(self.parameters.count)" }
            } else if count > 1 {
                var names = PostgresArray(.text)
                for name in query.streams where !name.utf8.contains(0) { names.append(text: name) }
                self.conditions.append("e.stream = ANY (\(self.add(.array(names))))")
            }
            if let prefix = query.streamPrefix {
                self.add("e.stream >= ", text: prefix)
                if let end = Self.end(ofPrefix: prefix) {
                    self.add("e.stream < ", text: end)
                } else if !prefix.utf8.contains(0) {
                    self.conditions.append("starts_with(e.stream, $\(self.parameters.count))")
                }
            }
        }

        /// The first text after all those with a prefix, in the order of bytes; nil if there is none. With it an index
        /// is read from the first of them to the last, and no further.
        static func end(ofPrefix prefix: String) -> String? {
            var scalars = String.UnicodeScalarView(prefix.unicodeScalars)
            while let last = scalars.popLast() {
                // In UTF-8, texts have the order of their scalars, of which surrogates are none.
                if let next = Unicode.Scalar(last.value == 0xD7FF ? 0xE000 : last.value + 1) {
                    scalars.append(next)
                    return String(scalars)
                }
            }
            return nil
        }

        private mutating func addTypes(_ patterns: [TypePattern]) {
            if patterns.isEmpty || patterns.contains(where: \.matchesEverything) { return }
            let exact = patterns.compactMap(\.exactType)
            let wild = patterns.filter { $0.exactType == nil }
            if exact.count == 1, wild.isEmpty { return self.add("e.type = ", text: exact[0]) }
            var alternatives: [String] = []
            if !exact.isEmpty {
                var types = PostgresArray(.text)
                for type in exact { types.append(text: type) }
                alternatives.append("e.type = ANY (\(self.add(.array(types))))")
            }
            if !wild.isEmpty {
                var expressions = PostgresArray(.text)
                for pattern in wild { expressions.append(text: Self.expression(pattern.description)) }
                alternatives.append("e.type ~ ANY (\(self.add(.array(expressions))))")
            }
            self.conditions.append("(" + alternatives.joined(separator: " OR ") + ")")
        }

        /// A pattern as a regular expression of PostgreSQL.
        static func expression(_ pattern: String) -> String {
            let tokens = pattern.split(separator: ".", omittingEmptySubsequences: false)
            let parts = tokens.enumerated().map { index, token -> String in
                if token == "*" { return "[^.]+" }
                if token == ">", index == tokens.count - 1 { return ".+" }
                var text = ""
                for character in token.unicodeScalars {
                    let isPlain =
                        !character.isASCII || character == "_" || character.properties.isAlphabetic
                        || ("0"..."9").contains(character)
                    text += isPlain ? "" : "\\"
                    text.unicodeScalars.append(character)
                }
                return text
            }
            return "^" + parts.joined(separator: "\\.") + "$"
        }

        private mutating func addTimes(_ query: EventQuery) {
            for (time, comparison, coarse) in [(query.since, ">=", ">="), (query.until, "<", "<=")] {
                guard let time else { continue }
                let (microseconds, rest) = RowEncoder.split(time.nanosecondsSinceEpoch)
                let (whole, part) = (self.add(.timestamp(microseconds)), self.add(.bigint(Int64(rest))))
                // The first comparison is for the index alone.
                self.conditions.append(
                    "e.occurred_at \(coarse) \(whole) AND (e.occurred_at, e.nanoseconds) \(comparison) "
                        + "(\(whole), \(part))")
            }
        }

        // MARK: Statements

        /// The bounds of what is still to be read, of positions, or of revisions where reading goes by them.
        var bounds: Range<Int64> { self.goesByRevision ? self.revisions : self.positions }

        private func statement(
            _ columns: String, _ bounds: Range<Int64>, end: Int64, tail: String
        ) -> PostgresStatement {
            var copy = self
            var bounded: [(String, Range<Int64>)] = []
            let high = min(self.positions.upperBound, end)
            if self.goesByRevision {
                bounded.append(("e.revision", bounds))
                bounded.append(
                    ("e.position", self.positions.lowerBound..<max(self.positions.lowerBound, high)))
            } else {
                let low = bounds.lowerBound
                bounded.append(("e.position", low..<max(low, min(bounds.upperBound, high))))
            }
            for (column, range) in bounded {
                // Bounds that bound nothing cost the server a comparison a row.
                if range.lowerBound > 0 {
                    copy.conditions.append("\(column) >= \(copy.add(.bigint(range.lowerBound)))")
                }
                if range.upperBound < .max {
                    copy.conditions.append("\(column) < \(copy.add(.bigint(range.upperBound)))")
                }
            }
            return PostgresStatement(
                text: "SELECT \(columns) FROM \(self.names.quoted()) e WHERE e.log_id = $1 AND "
                    + copy.conditions.joined(separator: " AND ") + tail,
                parameters: copy.parameters)
        }

        /// A page of events.
        ///
        /// - Parameters:
        ///   - bounds: what is still to be read; see ``bounds``.
        ///   - end: the position before which to stop.
        func page(_ bounds: Range<Int64>, end: Int64, limit: Int, offset: Int) -> PostgresStatement {
            let everything = 0..<Int64.max
            if let streamText, bounds == everything, self.positions == everything, end == .max, offset == 0 {
                return PostgresStatement(
                    text: streamText, parameters: self.parameters + [.bigint(Int64(limit))],
                    place: self.isBackwards ? .streamBackwards : .stream)
            }
            var statement = self.statement(EventColumns.selection, bounds, end: end, tail: "")
            statement.parameters.append(.bigint(Int64(limit)))
            statement.text +=
                " ORDER BY e.\(self.goesByRevision ? "revision" : "position")\(self.isBackwards ? " DESC" : "")"
                + " LIMIT $\(statement.parameters.count)"
            if offset > 0 {
                statement.parameters.append(.bigint(Int64(offset)))
                statement.text += " OFFSET $\(statement.parameters.count)"
            }
            return statement
        }

        /// How many events there are, of a limit at the most.
        func count(limit: Int?) -> PostgresStatement {
            var statement = self.statement("1", self.bounds, end: .max, tail: "")
            if let limit {
                statement.parameters.append(.bigint(Int64(limit)))
                statement.text += " LIMIT $\(statement.parameters.count)"
            }
            statement.text = "SELECT count(*) FROM (\(statement.text)) counted"
            return statement
        }

        /// The position of the first event.
        func firstPosition() -> PostgresStatement {
            var statement = self.statement("e.position", self.bounds, end: .max, tail: "")
            // OFFSET keeps the planner from walking along the positions where another index finds the few.
            statement.text = "SELECT min(found.position) FROM (\(statement.text) OFFSET 0) found"
            return statement
        }
    }
#endif
