#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Rows and digests")
    struct EncodingTests {
        @Test(
            "SHA-256 gives the digests of FIPS 180-4's examples, in one piece and in many",
            arguments: [
                ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                (
                    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
                ),
                (
                    String(repeating: "a", count: 1000),
                    "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
                ),
            ])
        func sha256(_ text: String, _ hex: String) {
            func digits(_ bytes: [UInt8]) -> String {
                bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            }
            #expect(digits(SHA256.digest(Array(text.utf8))) == hex)
            var hash = SHA256()
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                Array(rest.prefix(7)).withUnsafeBytes { hash.update($0) }
                rest = rest.dropFirst(7)
            }
            #expect(digits(hash.finish()) == hex)
        }

        /// JSON texts, and what `jsonb` makes of them.
        static let texts: [(String, JSONBForm)] = [
            (#"{}"#, .exact), (#"[]"#, .exact), ("null", .exact), ("true", .exact), (#""""#, .exact),
            (#"{"a":1}"#, .exact), (#"{"a":1,"b":[1,2.50,-3,"x, y: z"],"ab":{"c":null}}"#, .exact),
            (#"{"ä":"ö€😀"}"#, .exact), ("12345678901234567890.000100", .exact), ("-0.5", .exact),
            (#"{"b":1,"a":2}"#, .value), (#"{"aa":1,"b":2}"#, .value), (#"{"a":1,"a":2}"#, .value),
            (#"{ "a":1}"#, .value), ("[1, 2]", .value), (" 1", .value), ("-0", .value), ("-0.00", .value),
            ("1e5", .value), ("1E-7", .value), ("1e-300", .value), ("1e999", .value), ("0e0", .value),
            (#""\n""#, .value), (#""\/""#, .value), (#""\u0041""#, .value), (#""\\u0000""#, .value),
            (#""\ud83d\ude00""#, .value), ("-1e-2", .value),
            (#""\u0000""#, .none), (#"{"\u0000":1}"#, .none), ("1e100000", .none), ("1e-100000", .none),
            ("1e99999999999999999999", .none), ("", .none), ("{", .none), ("nul", .none), ("[1,]", .none),
            (#""\ud83d""#, .none), ("01", .none), ("\u{FEFF}1", .none), ("1 2", .none), (#"{"a"}"#, .none),
            (String(repeating: "9", count: 1001), .none), (String(repeating: "9", count: 1000), .exact),
            ("0." + String(repeating: "3", count: 999), .exact),
            (String(repeating: "[", count: 512) + String(repeating: "]", count: 512), .exact),
            (String(repeating: "[", count: 513) + String(repeating: "]", count: 513), .none),
        ]

        @Test("what a text is to jsonb is what the server makes of it")
        func jsonb() throws {
            let server = try PostgresServer.shared.get()
            let connection = try server.connect()
            for (text, form) in Self.texts {
                let found = Array(text.utf8).withUnsafeBytes { JSONBForm($0) }
                #expect(found == form, "\(text.prefix(80))")
                if form == .none { continue }
                var spread: [UInt8] = []
                Array(text.utf8).withUnsafeBytes { JSONBForm.spread($0, into: &spread) }
                try connection.query("SELECT $1::text::jsonb::text", [.text(text)]) {
                    row throws(PostgresError) in
                    let server = row.bytes(0) ?? []
                    // Texts with escapes are not called exact, although some are.
                    #expect(
                        (server == spread) == (form == .exact || [#""\n""#, #""\\u0000""#].contains(text)),
                        "\(text.prefix(80))")
                    if form == .exact {
                        #expect(server.withUnsafeBytes { gathered($0) } == Array(text.utf8))
                    }
                }
            }
        }

        @Test("a column of jsonb gives random objects back byte for byte wherever no bytes are kept")
        func randomJSON() throws {
            let connection = try PostgresServer.shared.get().connect()
            var random = SeededGenerator(seed: TestSeed.draw(for: "random JSON"))
            var exact = 0
            for _ in 0..<2000 {
                let text = Self.value(&random, depth: 0)
                let form = Array(text.utf8).withUnsafeBytes { JSONBForm($0) }
                try #require(form != .none, "\(text)")
                if form != .exact { continue }
                exact += 1
                try connection.query("SELECT $1::text::jsonb::text", [.text(text)]) {
                    row throws(PostgresError) in
                    #expect(row.column(0).map { gathered($0) } == Array(text.utf8), "\(text)")
                }
            }
            #expect(exact > 300)
        }

        private static func value(_ random: inout SeededGenerator, depth: Int) -> String {
            switch Int.random(in: 0..<(depth > 3 ? 5 : 7), using: &random) {
            case 0: return ["null", "true", "false"].randomElement(using: &random) ?? "null"
            case 1: return "\(Int.random(in: -99...99, using: &random))"
            case 2:
                return "\(Int.random(in: -9...9, using: &random)).\(Int.random(in: 0...999, using: &random))"
            case 3: return #""\#(["", "a b", "x:y", "1,2", "ü", "\\n"].randomElement(using: &random) ?? "")""#
            case 4: return "0"
            case 5:
                let count = Int.random(in: 0...3, using: &random)
                return "["
                    + (0..<count).map { _ in Self.value(&random, depth: depth + 1) }.joined(separator: ",")
                    + "]"
            default:
                let keys = ["a", "b", "aa", "ab", "ü", "a b", "zzz"]
                let count = Int.random(in: 0...2, using: &random)
                let members = (0..<count).map { _ in
                    "\"\(keys.randomElement(using: &random) ?? "a")\":\(Self.value(&random, depth: depth + 1))"
                }
                return "{" + members.joined(separator: ",") + "}"
            }
        }

        /// Events at the edges of what a log takes.
        static let edges: [Event] = {
            let payloads: [EventPayload] =
                [
                    .empty, .init(json: ""), .init(bytes: [0], contentType: nil),
                    .init(bytes: [0xFF, 0xFE, 0]),
                ]
                + [
                    .init(bytes: [0xFF], contentType: "application/json"),
                    .init(text: "{\"a\":1}", contentType: "text/plain"),
                    .init(text: "'; DROP TABLE tidelog.events; --"), .init(bytes: [UInt8](0...255)),
                ] + EncodingTests.texts.map { .init(json: $0.0) }
                + EncodingTests.texts.map { .init(text: $0.0, contentType: nil) }
            var events = payloads.enumerated().map { index, payload in
                Event(type: "edge", stream: "s-\(index % 7)", payload: payload)
            }
            for nanoseconds in [
                Int64.min, .min + 1, .min + 999, -1, 0, 1, 999, 1000, -1000, -1001, .max - 1, .max,
            ] {
                events.append(Event(type: "time", timestamp: .init(nanosecondsSinceEpoch: nanoseconds)))
            }
            let name = String(repeating: "ü", count: 127)
            events.append(
                Event(
                    id: .init("not a uuid ' \" \\ $1"), type: name, stream: "'; DROP TABLE x; --",
                    metadata: ["tenant_id": "t'1", "z": 1, "a": ["b": [1.5, nil]]], source: "\\N",
                    correlationID: "c", causationID: .generate(), schemaVersion: .max))
            var metadata = EventMetadata()
            metadata["n"] = .string("\u{0}\u{1F}\u{7F}")
            events.append(Event(type: "metadata", metadata: metadata))
            if let huge = try? EventMetadata(json: #"{"n":1234567890123456789012345678901234567890e2}"#.utf8)
            {
                events.append(Event(type: "metadata", metadata: huge))
            }
            events.append(
                Event(type: "large", bytes: (0..<10_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }))
            return events
        }()

        @Test("events at the edges come back from the database exactly, and both sides' digests agree")
        func edges() async throws {
            try await withLogAndDatabase { log, server, database in
                try await log.append(Self.edges)
                try await exporter(log, server.settings(database)).exportOnce()
                let local = try await events(of: log)
                let remote = try server.events(in: database)
                #expect(local.count == Self.edges.count && remote.count == local.count)
                for (left, right) in zip(local, remote) where left != right {
                    Issue.record("\(left.prefix(300)) came back as \(right.prefix(300))")
                }
                var digests: [[UInt8]] = []
                try server.connect(database).query(
                    "SELECT \(EventDigest.expression("e")), \(EventDigest.agreement("e")) FROM tidelog.events e "
                        + "ORDER BY position"
                ) { row throws(PostgresError) in
                    digests.append(row.bytes(0) ?? [])
                    #expect(row.boolean(1))
                }
                var index = 0
                for try await stored in log.read() {
                    #expect(digests[index] == EventDigest.digest(of: stored), "\(stored.position)")
                    index += 1
                }
                // Dashboards see JSON as JSON, and text that merely looks like it as bytes.
                let looking = try server.number(
                    "SELECT count(*) FROM tidelog.events WHERE content_type = 'text/plain' AND payload IS NOT NULL",
                    in: database)
                let parsed = try server.number(
                    "SELECT count(*) FROM tidelog.events WHERE payload->'a' = '1'", in: database)
                #expect(looking == 0 && parsed == 6)
            }
        }
    }

    /// A text of `jsonb` without the spaces that PostgreSQL writes.
    private func gathered(_ text: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: text.count) { $1 = JSONBForm.gather(text, into: $0) }
    }
#endif
