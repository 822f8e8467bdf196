#if Postgres
    import Testing
    import Tidelog

    @testable import TidelogPostgres

    @Suite("What is told of a checkpoint and a log")
    struct CheckpointTests {
        private typealias Acceptance = PostgresExportConfiguration.Acceptance

        /// The event just before the checkpoint as both sides have it, and another one.
        private static let same: [UInt8] = [1], other: [UInt8] = [2]

        /// What is told of a log of 100 events, of which 50 were exported.
        private func code(
            _ change: (inout Checkpoint, inout LogFacts, inout Evidence) -> Void, known: UInt64? = nil,
            accepts: Acceptance = []
        ) -> PostgresError.Code? {
            var log = LogFacts(id: .generate(), incarnation: 1, first: 0, end: 100)
            var checkpoint = Checkpoint(
                next: 50, incarnation: 1, filter: "", exported: 50,
                anchor: .init(position: 49, digest: Self.same), last: .init(position: 49, digest: Self.same))
            var evidence = Evidence()
            evidence.digests = [49: Self.same]
            change(&checkpoint, &log, &evidence)
            do throws(PostgresError) {
                try checkpoint.compare(
                    with: log, filter: "", known: known, evidence: evidence, accepts: accepts)
                return nil
            } catch { return error.code }
        }

        @Test("ends, anchors, incarnations, what retention took, and the filter are compared")
        func comparing() {
            #expect(code { _, _, _ in } == nil)
            #expect(code({ _, _, _ in }, known: 50) == nil)
            #expect(code { _, log, _ in log.end = 50 } == nil)
            #expect(code { _, log, _ in log.end = 49 } == .logBehind)
            #expect(code({ _, _, _ in }, known: 51) == .databaseBehind)
            #expect(code({ _, _, _ in }, known: 51, accepts: .olderDatabase) == nil)
            #expect(code { $2.digests = [49: Self.other] } == .diverged)
            #expect(
                code({ $2.digests = [49: Self.other] }, accepts: [.restoredLog, .olderDatabase]) == .diverged)
            #expect(code { _, log, _ in log.incarnation = 2 } == nil)
            #expect(code { checkpoint, _, _ in checkpoint.filter = "type=\"a\"" } == .invalidConfiguration)
            // Nothing was taken yet: there is nothing to miss, and nothing to compare.
            for start in [nil, 50] as [UInt64?] {
                #expect(
                    code {
                        ($0.exported, $0.anchor, $0.last, $0.start) = (0, nil, nil, start)
                        $1.first = 51
                        $2 = Evidence()
                    } == nil)
            }
        }

        @Test("a checkpoint that has moved on has begun, also where it knows no event that it has passed")
        func passed() {
            func code(known: UInt64? = nil, end: UInt64 = 100, first: UInt64 = 0) -> PostgresError.Code? {
                self.code(
                    {
                        ($0.exported, $0.anchor, $0.last, $0.start) = (0, nil, nil, 20)
                        ($1.first, $1.end) = (first, end)
                        $2 = Evidence()
                    }, known: known)
            }
            #expect(code() == .unverifiable)
            #expect(code(known: 50) == nil)
            #expect(code(known: 60) == .databaseBehind)
            #expect(code(end: 49) == .logBehind)
            #expect(code(known: 50, first: 51) == .eventsGone)
        }

        /// Which of the two sides knows an event just before the checkpoint.
        enum Gap: CaseIterable { case inLog, inDatabase, inBoth }

        @Test(
            "where an event is gone, the last one that is left decides, then what the log remembers",
            arguments: Gap.allCases)
        func gaps(_ gap: Gap) {
            func code(
                _ left: (inout Evidence) -> Void = { _ in }, known: UInt64? = nil, restored: Bool = false,
                first: UInt64 = 0, accepts: Acceptance = []
            ) -> PostgresError.Code? {
                self.code(
                    {
                        switch gap {
                        case .inLog: $2.digests = [:]
                        case .inDatabase:
                            $0.anchor = nil
                            $0.last = nil
                        case .inBoth:
                            // The database knows one from further back, which both have.
                            $0.anchor = .init(position: 20, digest: Self.same)
                            $0.last = $0.anchor
                            $2.digests = [20: Self.same]
                        }
                        $1.first = first
                        if restored { $1.incarnation = 2 }
                        left(&$2)
                    }, known: known, accepts: accepts)
            }
            // Nothing is left to compare.
            #expect(code() == .unverifiable)
            #expect(code(known: 49) == .unverifiable)
            #expect(code(known: 49, accepts: [.olderDatabase, .missingEvents]) == .unverifiable)
            #expect(code(accepts: .restoredLog) == nil)
            #expect(code(known: 50) == nil)
            // Its memory is no proof for a log that was restored: it may have gone another way since.
            #expect(code(known: 50, restored: true) == .unverifiable)
            #expect(code(known: 50, restored: true, accepts: .restoredLog) == nil)
            // The last event that is left before the checkpoint, and the row at its position.
            let nearest = Anchor(position: 40, digest: Self.same)
            for restored in [false, true] {
                #expect(
                    code(
                        {
                            $0.nearest = nearest; $0.nearestRow = Self.same
                        }, restored: restored) == nil)
                for known in [nil, 50] as [UInt64?] {
                    let code = code(
                        {
                            $0.nearest = nearest; $0.nearestRow = Self.other
                        }, known: known, restored: restored,
                        accepts: .restoredLog)
                    #expect(code == .diverged)
                }
                #expect(code({ $0.nearest = nearest }, restored: restored) == .unverifiable)
            }
            #expect(code({ $0.nearest = nearest }, known: 50) == nil)
            // Older than the exporter knows, and retention took what is gone: each is told in its turn.
            #expect(code(known: 60) == .databaseBehind)
            #expect(code(known: 60, accepts: .olderDatabase) == nil)
            #expect(code(known: 60, first: 70, accepts: .olderDatabase) == .eventsGone)
            #expect(code(known: 60, first: 70, accepts: [.olderDatabase, .missingEvents]) == nil)
            #expect(code(first: 51) == .unverifiable)
            #expect(code(first: 51, accepts: .restoredLog) == .eventsGone)
            #expect(code(known: 50, first: 51) == .eventsGone)
            #expect(code(known: 50, first: 51, accepts: .missingEvents) == nil)
        }

        @Test("an event from further back is enough where the log has no later one before the checkpoint")
        func furtherBack() {
            let back = Anchor(position: 20, digest: Self.same)
            #expect(
                self.code {
                    $0.anchor = back
                    $2.digests = [20: Self.same]
                    $2.nearest = back
                } == nil)
            // The filter wanted nothing so far, and yet there is a place from which on events are missing.
            #expect(
                self.code { checkpoint, log, _ in
                    checkpoint.exported = 0
                    checkpoint.last = nil
                    log.first = 51
                } == .eventsGone)
        }
    }
#endif
