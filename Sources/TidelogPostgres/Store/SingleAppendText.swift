#if Postgres
    /// The statements of ``SingleAppend``, one for each shape: what a statement need not look up, or answer, is not
    /// in it, for setting that up costs the server as much as doing it.
    ///
    /// A statement sees what was committed when it began, and may get the log's row only after another append. Then
    /// the row is not the one that it saw: it compares the row, once it has it, with what it goes by, and does nothing
    /// if that is another. Who changes what it looks at therefore changes that row: appends move its next position
    /// on, and where a stream is hidden a trigger counts its changes up. Likewise it does nothing if the id is there,
    /// the stream deleted or at another revision.
    ///
    /// It goes by the row as it saw it or, where the connection's last append was of this kind, by the row as that
    /// append left it (``AppendChain``). Then nobody has changed anything since: a log that had no hidden streams has
    /// none, an id that comes after the newest one is not there, and a stream is where the last append to it left it.
    enum SingleAppendText {
        /// What is expected of the event's stream.
        enum Expectation: Int, CaseIterable {
            /// The event has none.
            case streamless
            case any
            /// A revision, or null for no event.
            case exact
            case exists
            /// Nothing more, for it was looked at: the stream is at a revision, or null for no event.
            case met
        }

        /// What is known of the log before.
        enum Knowledge: Int, CaseIterable {
            case nothing
            /// The log's row as this connection's last append left it.
            case row
            /// As well, that the event's id comes after all ids in the log.
            case rowAndID
        }

        /// Which statement it is.
        struct Shape: Equatable {
            var expectation: Expectation
            var knowledge: Knowledge

            /// All there are, in the order of their numbers.
            static let all = Expectation.allCases.flatMap { expectation in
                Knowledge.allCases.map { Shape(expectation: expectation, knowledge: $0) }
            }

            var number: Int { self.expectation.rawValue * Knowledge.allCases.count + self.knowledge.rawValue }

            /// Whether the statement answers the event's revision, and nothing else.
            var answersRevision: Bool {
                self.knowledge != .nothing && (self.expectation == .any || self.expectation == .exists)
            }
        }

        /// The columns that come first in every shape, in the order of the parameters; those of stream, expectation
        /// and row follow, as far as there are any.
        private static let columns = [
            "log_id", "id", "occurred_at", "nanoseconds", "schema_version", "type", "source", "content_type",
            "tenant_id", "correlation_id", "causation_id", "metadata", "metadata_raw", "payload",
            "payload_raw",
        ]

        static let mostParameters = Self.columns.count + 4

        /// All of them, by their shapes' numbers.
        static func all(_ names: PostgresNames) -> [String] { Shape.all.map { Self.text(names, $0) } }

        private static func text(_ names: PostgresNames, _ shape: Shape) -> String {
            let (events, logs, streams) = (names.quoted(), names.quoted("_logs"), names.quoted("_streams"))
            var count = Self.columns.count
            func parameter() -> String {
                count += 1
                return "$\(count)"
            }
            let stream = shape.expectation == .streamless ? nil : parameter()
            let expected = [.exact, .met].contains(shape.expectation) ? parameter() : nil
            // The stream's last event is looked up in the statement's snapshot: where it is used, or once for all uses.
            let search =
                """
                (SELECT r.revision FROM \(events) r WHERE r.log_id = $1 AND r.stream = \(stream ?? "NULL") \
                ORDER BY r.revision DESC LIMIT 1)
                """
            let isFirst = shape.knowledge == .nothing
            let isShared = stream != nil && (isFirst || shape.expectation == .exists)
            let last = isShared ? "(SELECT revision FROM last)" : search
            var (conditions, position) = (["l.log_id = $1"], "m.position")
            if shape.knowledge != .rowAndID {
                // See StoreFunction.lookup for the order.
                conditions.append(
                    """
                    (SELECT f.id FROM \(events) f WHERE f.log_id = $1 AND f.id >= $2 ORDER BY f.id LIMIT 1) \
                    IS DISTINCT FROM $2
                    """)
            }
            if isFirst {
                conditions.append("l.xmin = (SELECT o.xmin FROM \(logs) o WHERE o.log_id = $1)")
                if let stream {
                    conditions.append(
                        """
                        NOT EXISTS (SELECT 1 FROM \(streams) s WHERE s.log_id = $1 AND s.stream = \(stream) \
                        AND (s.is_deleted OR s.last_revision > coalesce(\(last), -1)))
                        """)
                }
            } else {
                position = parameter()
                conditions.append("l.next_position = \(position) AND l.changes = \(parameter())")
            }
            if let expected, shape.expectation == .exact || isFirst {
                conditions.append("\(last) IS NOT DISTINCT FROM \(expected)")
            }
            if shape.expectation == .exists { conditions.append("\(last) IS NOT NULL") }
            let revision = stream.map { _ in "coalesce(\(expected ?? last), -1) + 1" } ?? "NULL"
            let answer =
                isFirst
                ? """
                 RETURNING position, revision, (SELECT o.changes FROM \(logs) o WHERE o.log_id = $1),
                  (SELECT n.id FROM \(events) n WHERE n.log_id = $1 ORDER BY n.id DESC LIMIT 1),
                  EXISTS (SELECT 1 FROM \(streams) h WHERE h.log_id = $1)
                """ : shape.answersRevision ? " RETURNING revision" : ""
            return """
                WITH \(isShared ? "last AS MATERIALIZED \(search), " : "")moved AS (
                  UPDATE \(logs) l SET next_position = l.next_position + 1
                    WHERE \(conditions.joined(separator: " AND "))
                    RETURNING \(isFirst ? "l.next_position - 1 AS position" : "1"))
                INSERT INTO \(events) (position, revision, stream, \(Self.columns.joined(separator: ", ")))
                  SELECT \(position), \(revision), \(stream ?? "NULL"),
                    \((1...Self.columns.count).map { "$\($0)" }.joined(separator: ", ")) FROM moved m\(answer)
                """
        }
    }
#endif
