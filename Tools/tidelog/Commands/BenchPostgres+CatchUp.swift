#if Postgres
    import Glibc
    import SystemPackage
    import Tidelog
    import TidelogPostgres
    import TidelogTesting

    extension BenchPostgres {
        /// What a phase took.
        private struct Phase {
            /// Events a second.
            var rate: Double
            /// Processors that this process kept busy, and those that the rest of the machine did.
            var own: Double, others: Double
        }

        /// How fast an app appends while the exporter in it has nothing to do, and while it catches up; in turn,
        /// and in every other round in the other order.
        func catchUp() async throws {
            let directory = FilePath(self.directory).appending("catching-up")
            let log = try await EventLog.open(at: directory)
            var generator = EventGenerator(seed: self.seed)
            for _ in stride(from: 0, to: self.count, by: 1000) {
                try await log.append(generator.events(1000))
            }
            let exporter = try PostgresExporter(log: log, to: try self.postgres.settings)
            exporter.pause()
            exporter.start()
            var ratios: [Double] = []
            _ = try await self.phase(log, &generator)
            for round in 1...max(1, self.rounds) {
                var alone: Phase?
                if round % 2 == 1 { alone = try await self.phase(log, &generator) }
                exporter.resume()
                let before = exporter.status.exportedEvents
                while exporter.status.exportedEvents == before { try await Task.sleep(for: .milliseconds(5)) }
                let exported = exporter.status.exportedEvents
                let beside = try await self.phase(log, &generator)
                let status = exporter.status
                exporter.pause()
                // What is under way is let go of.
                try await Task.sleep(for: .milliseconds(500))
                let other: Phase
                if let alone { other = alone } else { other = try await self.phase(log, &generator) }
                ratios.append(beside.rate / other.rate)
                print(
                    "  round \(round): \(Int(other.rate)) events/s alone, \(Int(beside.rate)) beside, ratio "
                        + "\(Self.text(beside.rate / other.rate)); exported "
                        + "\(Int(Double(status.exportedEvents - exported) / self.seconds))/s; processors alone "
                        + "\(Self.text(other.own)) + \(Self.text(other.others)) of others, beside "
                        + "\(Self.text(beside.own)) + \(Self.text(beside.others))")
                if status.lagEvents == 0 { print("  the backlog was too short: give a higher --count") }
            }
            print("  median of the ratios: \(Self.text(ratios.sorted()[ratios.count / 2]))")
            await exporter.stop()
            await log.close()
        }

        private static func text(_ number: Double) -> String {
            let hundredths = Int((number * 100).rounded())
            return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
        }

        /// What `callers` tasks append, `batch` at a time, for some seconds.
        private func phase(_ log: EventLog, _ generator: inout EventGenerator) async throws -> Phase {
            let parts = (0..<self.callers).map { _ in generator.events(max(20_000, self.batch * 200)) }
            let (own, all) = (Self.ownSeconds, Self.allSeconds)
            let watch = Stopwatch()
            let count = try await withThrowingTaskGroup(of: Int.self) { group in
                for events in parts {
                    group.addTask { [batch, seconds] in
                        var count = 0
                        var start = 0
                        while watch.seconds < seconds {
                            var part = Array(events[start..<min(start + batch, events.count)])
                            start = start + batch < events.count ? start + batch : 0
                            for index in part.indices { part[index].id = .generate() }
                            try await log.append(part)
                            count += part.count
                        }
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
            let took = watch.seconds
            let ownBusy = Self.ownSeconds - own
            return Phase(
                rate: Double(count) / took, own: ownBusy / took,
                others: max(0, Self.allSeconds - all - ownBusy) / took)
        }

        /// Seconds of processors that this process used.
        private static var ownSeconds: Double {
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            let microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
            return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(microseconds) / 1e6
        }

        /// Seconds of processors that the machine used (proc(5): all but idle and waiting for disks).
        private static var allSeconds: Double {
            guard let file = fopen("/proc/stat", "r") else { return 0 }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 512)
            guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
            let fields = String(
                decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self
            )
            .split(separator: " ").dropFirst().compactMap { Double($0) }
            guard fields.count >= 8 else { return 0 }
            let busy = fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]
            return busy / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
    }
#endif
