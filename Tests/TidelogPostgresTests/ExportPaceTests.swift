#if Postgres
    import Testing

    @testable import TidelogPostgres

    @Suite("The pace of an export")
    struct ExportPaceTests {
        /// A pace that knows of this many appends a second, at the time of 1 s and with the log's end at that number.
        private func pace(
            appends rate: UInt64, _ kind: PostgresExportConfiguration.Pace = .yieldToAppends
        ) -> ExportPace {
            var pace = ExportPace(kind)
            pace.note(end: 0, now: .zero)
            pace.note(end: rate, now: .seconds(1))
            return pace
        }

        @Test("while nobody appends, or a few events come a second, it never rests and batches are large")
        func idle() {
            for rate: UInt64 in [0, 19] {
                var pace = self.pace(appends: rate)
                #expect(pace.isBusy == false && pace.batchBytes(4 << 20) == 4 << 20)
                #expect(pace.rest(after: .seconds(1), next: 5, end: 100, now: .seconds(2)) == .zero)
            }
        }

        @Test("while somebody appends it rests for nine times as long as it works, and batches are small")
        func busy() {
            var pace = self.pace(appends: 20)
            #expect(pace.isBusy == true && pace.batchBytes(4 << 20) == ExportPace.smallBatchBytes)
            #expect(pace.batchBytes(1024) == 1024)
            let rest = pace.rest(after: .milliseconds(100), next: 5, end: 100, now: .seconds(2))
            #expect(rest > .milliseconds(890) && rest < .milliseconds(910))
            #expect(
                pace.rest(after: .seconds(60), next: 6, end: 100, now: .seconds(3)) == ExportPace.longestRest)
        }

        @Test("before it is known whether somebody appends, batches are small and nothing rests")
        func unknown() {
            var pace = ExportPace(.yieldToAppends)
            pace.note(end: 5, now: .zero)
            pace.note(end: 500, now: .milliseconds(100))
            #expect(pace.isBusy == nil && pace.batchBytes(4 << 20) == ExportPace.smallBatchBytes)
            #expect(pace.rest(after: .seconds(1), next: 5, end: 500, now: .seconds(1)) == .zero)
        }

        @Test("at full pace it never rests")
        func full() {
            var pace = self.pace(appends: 100_000, .full)
            #expect(pace.batchBytes(4 << 20) == 4 << 20)
            #expect(pace.rest(after: .seconds(1), next: 5, end: 100, now: .seconds(2)) == .zero)
        }

        @Test("as long as the lag grows it works more, up to all the time; when it shrinks fast, less again")
        func growing() {
            var pace = self.pace(appends: 1000)
            var now = Duration.seconds(1)
            var (next, end): (UInt64, UInt64) = (0, 100_000)
            _ = pace.rest(after: .seconds(1), next: next, end: end, now: now)
            var shares: [Double] = []
            for step in 1...8 {
                now += ExportPace.judgeInterval
                end += 10_000
                // Less than what comes in the first five, then three times as much.
                next += step <= 5 ? 9000 : 30_000
                _ = pace.rest(after: .seconds(1), next: next, end: end, now: now)
                shares.append(pace.share)
            }
            #expect(shares == [0.2, 0.4, 0.8, 1, 1, 0.5, 0.25, 0.125])
            now += ExportPace.judgeInterval
            _ = pace.rest(after: .seconds(1), next: next + 15_000, end: end + 10_000, now: now)
            #expect(pace.share == 0.125)
        }

        @Test("when the appends end, so does resting")
        func ending() {
            var pace = self.pace(appends: 1000)
            #expect(pace.rest(after: .seconds(1), next: 1, end: 1000, now: .seconds(1)) > .zero)
            pace.note(end: 1000, now: .seconds(2))
            #expect(pace.rest(after: .seconds(1), next: 2, end: 1000, now: .seconds(2)) == .zero)
        }
    }
#endif
