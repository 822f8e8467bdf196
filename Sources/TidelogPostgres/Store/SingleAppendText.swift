#if Postgres
    /// The statements of ``SingleAppend``, one for each shape: what a statement need not look up is not in it, for
    /// setting up a look-up costs the server as much as making it.
    ///
    /// A statement sees what was committed when it began, and may get the log's row only after another append. Then
    /// the row is not the one that it saw: it compares who wrote the row, once it has it, and does nothing if that is
    /// somebody else. Who changes what it looks at (events, and which streams are hidden) therefore writes that row.
    /// Likewise it does nothing if the id is there, the stream deleted or at another revision.
    ///
    /// It compares with the row as it saw it or, where the connection's last append was of this kind, with the row
    /// as that append left it (``WrittenRow``). Then nobody has changed anything since, and a log that had no hidden
    /// streams has none.
    enum SingleAppendText {
        /// What is expected of the event's stream.
        enum Expectation: Int, CaseIterable {
            /// The event has none.
            case streamless
            case any
            /// A revision, or null for no event.
            case exact
            case exists
        }

        /// Which statement it is.
        struct Shape {
            var expectation: Expectation
            /// Whether it compares with the row as this connection wrote it.
            var isNext: Bool

            static let count = 2 * Expectation.allCases.count
            var number: Int { 2 * self.expectation.rawValue + (self.isNext ? 1 : 0) }
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
        static func all(_ names: PostgresNames) -> [String] {
            Expectation.allCases.flatMap { expectation in
                [false, true].map {
                    Self.text(names, Shape(expectation: expectation, isNext: $0))
                }
            }
        }

        private static func text(_ names: PostgresNames, _ shape: Shape) -> String {
            let (events, logs, streams) = (names.quoted(), names.quoted("_logs"), names.quoted("_streams"))
            var count = Self.columns.count
            func parameter() -> String {
                count += 1
                return "$\(count)"
            }
            let stream = shape.expectation == .streamless ? nil : parameter()
            let expected = shape.expectation == .exact ? parameter() : nil
            // The stream's last event is looked up in the statement's snapshot: where it is used, or once for all uses.
            let search =
                """
                (SELECT r.revision FROM \(events) r WHERE r.log_id = $1 AND r.stream = \(stream ?? "NULL") \
                ORDER BY r.revision DESC LIMIT 1)
                """
            let isShared = stream != nil && (!shape.isNext || shape.expectation == .exists)
            let last = isShared ? "(SELECT revision FROM last)" : search
            var conditions = [
                "l.log_id = $1",
                // See StoreFunction.lookup for the order.
                """
                (SELECT f.id FROM \(events) f WHERE f.log_id = $1 AND f.id >= $2 ORDER BY f.id LIMIT 1) \
                IS DISTINCT FROM $2
                """,
            ]
            if shape.isNext {
                conditions.append("l.xmin = \(parameter()) AND l.next_position = \(parameter())")
            } else {
                conditions.append("l.xmin = (SELECT o.xmin FROM \(logs) o WHERE o.log_id = $1)")
                if let stream {
                    conditions.append(
                        """
                        NOT EXISTS (SELECT 1 FROM \(streams) s WHERE s.log_id = $1 AND s.stream = \(stream) \
                        AND (s.is_deleted OR s.last_revision > coalesce(\(last), -1)))
                        """)
                }
            }
            if let expected { conditions.append("\(last) IS NOT DISTINCT FROM \(expected)") }
            if shape.expectation == .exists { conditions.append("\(last) IS NOT NULL") }
            let revision = expected.map { "coalesce(\($0), -1) + 1" } ?? "coalesce(\(last), -1) + 1"
            let hidden =
                shape.isNext ? "false" : "EXISTS (SELECT 1 FROM \(streams) h WHERE h.log_id = $1)"
            return """
                WITH \(isShared ? "last AS MATERIALIZED \(search), " : "")moved AS (
                  UPDATE \(logs) l SET next_position = l.next_position + 1
                    WHERE \(conditions.joined(separator: " AND "))
                    RETURNING l.next_position - 1 AS position)
                INSERT INTO \(events) (position, revision, stream, \(Self.columns.joined(separator: ", ")))
                  SELECT m.position, \(stream == nil ? "NULL" : revision), \(stream ?? "NULL"),
                    \((1...Self.columns.count).map { "$\($0)" }.joined(separator: ", ")) FROM moved m
                RETURNING position, revision, pg_current_xact_id()::xid, \(hidden)
                """
        }
    }
#endif
