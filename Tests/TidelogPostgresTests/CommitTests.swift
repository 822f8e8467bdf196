#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// The server answers a statement before it commits, and may fail in between.
    @Suite("Appends that fail at their commit")
    struct CommitTests {
        enum Way: String, CaseIterable, Sendable {
            case single, batch, guarded, onOwnThread

            func append(_ event: Event, to store: PostgresEventStore) async throws -> AppendResult {
                switch self {
                case .single: try await store.append([event], if: .always)
                case .batch:
                    try await store.append(
                        [event, Event(id: .init("\(event.id)-2"), type: "t")], if: .always)
                case .guarded:
                    try await store.append([event], if: .noEvent(matching: .types("other"), after: nil))
                case .onOwnThread:
                    try await store.withOwnThread {
                        for _ in 0..<2 { try await store.append([Event(type: "t")], if: .always) }
                        return try await store.append([event], if: .always)
                    }
                }
            }
        }

        /// Has commits run `body`, in PL/pgSQL, where an event was stored whose id begins with "last".
        private static func trigger(_ body: String) -> String {
            """
            CREATE SEQUENCE public.commits; \
            CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql \
            AS $$BEGIN IF NEW.id LIKE 'last%' THEN \(body) END IF; RETURN NULL; END$$; \
            CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON tidelog.events \
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.at_commit()
            """
        }

        /// Runs `body` with a store whose connection has its statements prepared.
        private func withStore(
            _ trigger: String, _ body: (PostgresEventStore, PostgresServer, String) async throws -> Void
        ) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                for _ in 0..<4 { try await store.append([Event(type: "t")], if: .always) }
                try server.run(Self.trigger(trigger), in: database)
                for _ in 0..<4 { try await store.append([Event(type: "t")], if: .always) }
                try await body(store, server, database)
                await store.close()
            }
        }

        @Test(
            "are told as refused where the server refuses it, and nothing is stored", arguments: Way.allCases)
        func refused(_ way: Way) async throws {
            try await self.withStore("RAISE EXCEPTION 'not now';") { store, server, database in
                do {
                    let result = try await way.append(Event(id: "last", type: "t"), to: store)
                    Issue.record("\(result) was answered, and nothing was stored")
                } catch let error as EventLogError {
                    #expect(error.code == .inputOutput && error.message.contains("not now"), "\(error)")
                    #expect((error.cause as? PostgresError)?.isOutcomeUnknown == false)
                }
                let end = try await store.end()
                #expect(try await store.events(.all).count == Int(end.rawValue))
                try server.run("DROP TRIGGER at_commit ON tidelog.events", in: database)
                let result = try await store.append([Event(id: "last", type: "t")], if: .always)
                #expect(result.positions.lowerBound == end && !result.isRepeat)
            }
        }

        @Test("are made again where the session is ended before it, and stored once", arguments: Way.allCases)
        func ended(_ way: Way) async throws {
            let once = """
                IF nextval('public.commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                """
            try await self.withStore(once) { store, server, database in
                let result = try await way.append(Event(id: "last", type: "t"), to: store)
                #expect(!result.isRepeat)
                let events = try await store.events(.all)
                #expect(events.map(\.position.rawValue) == Array(0..<result.positions.upperBound.rawValue))
                #expect(events.first { $0.id == "last" }?.position == result.positions.lowerBound)
                #expect(Set(events.map(\.id)).count == events.count)
                #expect(try server.number("SELECT last_value FROM public.commits", in: database) ?? 0 > 1)
            }
        }
    }
#endif
