#if Postgres
    import Testing
    import Tidelog

    @testable import TidelogPostgres

    @Suite("A filter as the database keeps it")
    struct ExportFilterTests {
        private func query(_ change: (inout EventQuery) -> Void) -> EventQuery {
            var query = EventQuery.all
            change(&query)
            return query
        }

        @Test("is read as the same filter, whatever its texts have in them")
        func reading() throws {
            let odd = "a\"b\\c 'd' \n\r\t\u{0}\u{7F}\u{301}é🌊 type=\"x\" \\u{41}"
            let queries = [
                EventQuery.all,
                self.query { $0.streams = ["b", "a", odd, ""] },
                self.query { $0.streamPrefix = odd },
                self.query { ($0.fromRevision, $0.toRevision) = (3, 99) },
                self.query { $0.types = ["order.*", ">", "cart.\u{301}added"] },
                self.query {
                    $0.since = Timestamp(nanosecondsSinceEpoch: -1)
                    $0.until = Timestamp(nanosecondsSinceEpoch: 1_767_600_000_123_456_789)
                },
                self.query { ($0.correlationID, $0.causationID) = (EventID(odd), .generate()) },
                self.query { ($0.source, $0.tenantID) = (odd, "t") },
            ]
            for query in queries {
                let text = ExportFilter.text(of: query)
                let read = try #require(ExportFilter.query(of: text), "\(text)")
                #expect(ExportFilter.text(of: read) == text)
                #expect(Set(read.streams) == Set(query.streams) && Set(read.types) == Set(query.types))
                #expect(read.streamPrefix == query.streamPrefix && read.source == query.source)
                #expect(read.since == query.since && read.until == query.until)
                #expect(read.fromRevision == query.fromRevision && read.toRevision == query.toRevision)
                #expect(read.correlationID == query.correlationID && read.causationID == query.causationID)
                #expect(read.tenantID == query.tenantID)
            }
        }

        @Test("that is none that this version writes is not read as another one")
        func unreadable() {
            for text in [
                "x", "type", "type=", "type=a", "type=\"a", "type=\"a\"x", "type=\"a\"  type=\"b\"",
                "type=\"\"", "color=\"red\"", "since=\"yesterday\"", "fromRevision=\"-1\"", "type=\"\\q\"",
                "source=\"a\\u{110000}\"", "source=\"\\u{41}\"", "type=\"b\" type=\"a\"", " type=\"a\"",
                "source=\"a\" source=\"b\"",
            ] {
                #expect(ExportFilter.query(of: text) == nil, "\(text)")
            }
        }
    }
#endif
