#if Postgres
    import Tidelog

    /// The function of the database that appends: one round trip, with the log's row locked for the shortest
    /// time.
    ///
    /// The lock orders the appends of a log, whoever makes them, until each is committed; each statement of the
    /// function sees everything that was committed before the lock was had. So positions become visible in
    /// their order, and conditions are judged by what is there when the append takes place.
    enum StoreFunction {
        /// What the function answers.
        enum Status: Int64 {
            /// The events are stored, from `o_first` to before `o_last`.
            case stored = 0
            /// Events of these ids are there, from `o_first` to `o_last`.
            case known = 1
            /// Stream number `o_first` is not where it should be, but at `o_last`.
            case conflict = 2
            /// Stream number `o_first` is deleted.
            case deleted = 3
            /// The caller said that a condition does not hold.
            case ruledOut = 4
            /// There is no such log.
            case missing = 5
        }

        /// How an expectation of a stream is sent; revisions stand for themselves.
        enum Expectation {
            static let noStream: Int64 = -1
            static let exists: Int64 = -2
            static let any: Int64 = -3
            /// As `any`, and nothing is appended there, so the stream may be deleted.
            static let anyUnwritten: Int64 = -4

            /// An expectation of a stream that is written.
            static func number(_ expectation: ExpectedRevision) -> Int64 {
                switch expectation {
                case .any: self.any
                case .noStream: self.noStream
                case .streamExists: self.exists
                case let other: Int64(clamping: other.exactRevision?.rawValue ?? .max)
                }
            }
        }

        /// The parameters, in their order, with their types.
        static let parameters = [
            ("p_log", "uuid"), ("p_ruled_out", "boolean"), ("p_streams", "text[]"),
            ("p_expected", "bigint[]"), ("p_stream_numbers", "integer[]"), ("p_offsets", "bigint[]"),
            ("p_times", "timestamptz[]"), ("p_nanoseconds", "smallint[]"), ("p_versions", "bigint[]"),
            ("p_ids", "text[]"), ("p_types", "text[]"), ("p_sources", "text[]"),
            ("p_content_types", "text[]"),
            ("p_tenants", "text[]"), ("p_correlations", "text[]"), ("p_causations", "text[]"),
            ("p_metadata", "jsonb[]"), ("p_metadata_raw", "bytea[]"), ("p_payloads", "jsonb[]"),
            ("p_payloads_raw", "bytea[]"), ("p_snapshot_streams", "text[]"),
            ("p_snapshot_revisions", "bigint[]"), ("p_snapshot_kinds", "text[]"),
            ("p_snapshot_states", "bytea[]"),
        ]

        /// The call.
        static func call(_ names: PostgresNames) -> String {
            let places = (1...Self.parameters.count).map { "$\($0)" }.joined(separator: ", ")
            return
                "SELECT o_status, o_first, o_last, o_revisions::text FROM \(names.quoted("_append"))(\(places))"
        }

        /// The statement that makes it.
        static func definition(_ names: PostgresNames) -> String {
            let list = Self.parameters.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
            return """
                CREATE OR REPLACE FUNCTION \(names.quoted("_append")) (\(list), OUT o_status bigint, \
                OUT o_first bigint, OUT o_last bigint, OUT o_revisions bigint[]) LANGUAGE plpgsql \
                AS \(Schema.literal(Self.body(names)))
                """
        }

        /// The position of the event with an id; null if there is none.
        ///
        /// A plan that was made while the table was empty finds every index alike, and may walk through the whole
        /// log to find an id. In the order of ids there is one index only.
        static func lookup(_ names: PostgresNames, log: String, id: String) -> String {
            """
            (SELECT e.position FROM (SELECT f.id, f.position FROM \(names.quoted()) f \
            WHERE f.log_id = \(log) AND f.id >= \(id) ORDER BY f.id LIMIT 1) e WHERE e.id = \(id))
            """
        }

        private static func body(_ names: PostgresNames) -> String {
            let (events, logs) = (names.quoted(), names.quoted("_logs"))
            let (streams, snapshots) = (names.quoted("_streams"), names.quoted("_snapshots"))
            return """
                DECLARE
                  v_count bigint := cardinality(p_ids);
                  v_next bigint;
                  v_deleted boolean[];
                  v_hidden boolean := true;
                  v_newest text;
                  v_found record;
                BEGIN
                  UPDATE \(logs) SET next_position = next_position + v_count WHERE log_id = p_log
                    RETURNING next_position - v_count INTO v_next;
                  IF v_next IS NULL THEN o_status := 5; RETURN; END IF;
                  o_status := 0;
                  IF v_count <= 1 AND cardinality(p_streams) <= 1 THEN
                    -- The usual append, of one event to one stream, looks everything up in one statement.
                    SELECT \(self.lookup(names, log: "p_log", id: "p_ids[1]")) AS position,
                      (SELECT l.revision FROM \(events) l WHERE l.log_id = p_log AND l.stream = p_streams[1]
                        ORDER BY l.revision DESC LIMIT 1) AS revision,
                      (SELECT ARRAY[s.last_revision, s.is_deleted::integer] FROM \(streams) s
                        WHERE s.log_id = p_log AND s.stream = p_streams[1]) AS hidden INTO v_found;
                    o_first := v_found.position;
                    o_last := o_first;
                    o_revisions := ARRAY[greatest(v_found.revision, v_found.hidden[1])];
                    v_deleted := ARRAY[coalesce(v_found.hidden[2] = 1, false)];
                  ELSE
                    -- Ids that all come after the newest one, as those of new events do, are not there.
                    SELECT e.id INTO v_newest FROM \(events) e WHERE e.log_id = p_log ORDER BY e.id DESC LIMIT 1;
                    IF v_newest COLLATE "C" >= (SELECT min(u.id COLLATE "C") FROM unnest(p_ids) u (id)) THEN
                      SELECT min(k.position), max(k.position) INTO o_first, o_last
                        FROM (SELECT \(self.lookup(names, log: "p_log", id: "u.id")) AS position
                          FROM unnest(p_ids) u (id)) k;
                    END IF;
                    SELECT EXISTS (SELECT 1 FROM \(streams) s WHERE s.log_id = p_log) INTO v_hidden;
                    IF v_hidden THEN
                      SELECT array_agg(greatest(e.revision, s.last_revision) ORDER BY u.number),
                          array_agg(coalesce(s.is_deleted, false) ORDER BY u.number)
                        INTO o_revisions, v_deleted
                        FROM unnest(p_streams) WITH ORDINALITY u (stream, number)
                        LEFT JOIN LATERAL (SELECT l.revision FROM \(events) l
                          WHERE l.log_id = p_log AND l.stream = u.stream ORDER BY l.revision DESC LIMIT 1) e ON true
                        LEFT JOIN \(streams) s ON s.log_id = p_log AND s.stream = u.stream;
                    ELSE
                      o_revisions := ARRAY(SELECT (SELECT l.revision FROM \(events) l
                          WHERE l.log_id = p_log AND l.stream = u.stream ORDER BY l.revision DESC LIMIT 1)
                        FROM unnest(p_streams) WITH ORDINALITY u (stream, number) ORDER BY u.number);
                    END IF;
                  END IF;
                  IF o_first IS NOT NULL THEN
                    o_status := 1;
                  ELSIF v_hidden OR EXISTS (SELECT 1 FROM unnest(p_expected) u (expected) WHERE u.expected > -3) THEN
                    FOR i IN 1 .. cardinality(p_streams) LOOP
                      IF v_deleted[i] AND p_expected[i] <> -4 THEN o_status := 3;
                      ELSIF NOT (CASE p_expected[i] WHEN -4 THEN true WHEN -3 THEN true
                        WHEN -2 THEN o_revisions[i] IS NOT NULL WHEN -1 THEN o_revisions[i] IS NULL
                        ELSE o_revisions[i] IS NOT DISTINCT FROM p_expected[i] END) THEN o_status := 2;
                      END IF;
                      IF o_status <> 0 THEN o_first := i; o_last := o_revisions[i]; EXIT; END IF;
                    END LOOP;
                  END IF;
                  IF o_status = 0 AND p_ruled_out THEN o_status := 4; END IF;
                  IF o_status <> 0 THEN
                    UPDATE \(logs) SET next_position = v_next WHERE log_id = p_log;
                    RETURN;
                  END IF;
                  IF v_count = 1 THEN
                    INSERT INTO \(events) (log_id, position, revision, occurred_at, nanoseconds, schema_version,
                        id, type, stream, source, content_type, tenant_id, correlation_id, causation_id,
                        metadata, metadata_raw, payload, payload_raw)
                      VALUES (p_log, v_next, CASE WHEN p_stream_numbers[1] IS NOT NULL
                        THEN coalesce(o_revisions[p_stream_numbers[1]], -1) + 1 END,
                        p_times[1], p_nanoseconds[1], p_versions[1], p_ids[1], p_types[1],
                        p_streams[p_stream_numbers[1]], p_sources[1], p_content_types[1], p_tenants[1],
                        p_correlations[1], p_causations[1], p_metadata[1], p_metadata_raw[1], p_payloads[1],
                        p_payloads_raw[1]);
                  ELSIF v_count > 1 THEN
                    INSERT INTO \(events) (log_id, position, revision, occurred_at, nanoseconds, schema_version,
                        id, type, stream, source, content_type, tenant_id, correlation_id, causation_id,
                        metadata, metadata_raw, payload, payload_raw)
                      SELECT p_log, v_next + r.number - 1,
                        CASE WHEN r.stream IS NOT NULL THEN coalesce(o_revisions[r.stream], -1) + r.place END,
                        r.occurred_at, r.nanoseconds, r.version, r.id, r.type, p_streams[r.stream], r.source,
                        r.content_type, r.tenant, r.correlation, r.causation, r.metadata, r.metadata_raw,
                        r.payload, r.payload_raw
                      FROM unnest(p_stream_numbers, p_offsets, p_times, p_nanoseconds, p_versions, p_ids,
                        p_types, p_sources, p_content_types, p_tenants, p_correlations, p_causations,
                        p_metadata, p_metadata_raw, p_payloads, p_payloads_raw) WITH ORDINALITY
                        r (stream, place, occurred_at, nanoseconds, version, id, type, source, content_type,
                        tenant, correlation, causation, metadata, metadata_raw, payload, payload_raw, number);
                  END IF;
                  IF cardinality(p_snapshot_streams) > 0 THEN
                    INSERT INTO \(snapshots) (log_id, stream, revision, kind, state)
                      SELECT p_log, r.stream, r.revision, r.kind, r.state
                      FROM unnest(p_snapshot_streams, p_snapshot_revisions, p_snapshot_kinds,
                        p_snapshot_states) r (stream, revision, kind, state)
                      ON CONFLICT (log_id, stream) DO UPDATE
                      SET revision = excluded.revision, kind = excluded.kind, state = excluded.state;
                  END IF;
                  o_first := v_next;
                  o_last := v_next + v_count;
                END
                """
        }
    }
#endif
