#if Postgres
    import Tidelog

    /// What was exported, and how fast.
    struct ExportCounter: Sendable {
        private(set) var events = 0
        private(set) var bytes = 0
        private(set) var last: Timestamp?
        private var recent: [(time: Duration, events: Int)] = []

        mutating func add(_ batch: ExportBatch, now: Duration) {
            if batch.count == 0 { return }
            self.events += batch.count
            self.bytes += batch.bytes.count
            self.last = .now()
            self.recent.append((now, batch.count))
            self.recent.removeAll { $0.time < now - .seconds(10) }
        }

        /// Events a second over the last ten seconds, or since the first batch if that is less.
        func rate(now: Duration) -> Double {
            let counted = self.recent.filter { $0.time >= now - .seconds(10) }
            guard let first = counted.first, counted.count > 1 else { return 0 }
            let span = now - first.time
            let seconds = Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
            // The first batch marks the start of the span.
            return seconds > 0 ? Double(counted.dropFirst().reduce(0) { $0 + $1.events }) / seconds : 0
        }
    }

    extension PostgresExporter {
        /// How the export stands. It asks the log and this exporter, not the database, and may read a frame.
        public var status: PostgresExportStatus {
            let now = self.now
            let (machine, counted, known, failedAt) = self.state.withLock {
                ($0.machine, $0.counted, $0.known, $0.failedAt)
            }
            let lag = ExportLag(of: self.log, next: known ?? self.configuration.start.rawValue)
            return PostgresExportStatus(
                state: self.state.withLock { $0.isRunning } ? machine.state : .stopped,
                lastError: machine.lastError,
                lastErrorTime: machine.lastError == nil ? nil : failedAt, failures: machine.failures,
                nextPosition: known.map { Position($0) }, logEnd: lag.end, lagEvents: lag.events,
                lagBytes: lag.bytes, lag: lag.age, exportedEvents: counted.events,
                exportedBytes: counted.bytes, eventsPerSecond: counted.rate(now: now),
                lastExport: counted.last)
        }
    }

    extension PostgresExporter {
        /// What the reporter tells of; the lag only where metrics are made of it, as the log is read for it.
        func currentReport() async -> ExportReport {
            guard self.configuration.metrics != nil else { return self.report }
            let report = try? await PlainThread.run("tidelog-lag") { () throws(PostgresError) in
                self.reportWithLag
            }
            return report ?? self.report
        }

        private var report: ExportReport {
            let now = self.now
            return self.state.withLock { state in
                ExportReport(
                    state: state.isRunning ? state.machine.state : .stopped, known: state.known,
                    events: state.counted.events, bytes: state.counted.bytes, failures: state.failed,
                    isPaused: state.machine.isPaused, error: state.machine.lastError,
                    rate: state.counted.rate(now: now), lag: nil)
            }
        }

        private var reportWithLag: ExportReport {
            var report = self.report
            report.lag = ExportLag(of: self.log, next: report.known ?? self.configuration.start.rawValue)
            return report
        }
    }

    /// What lies between a position and the end of the log.
    struct ExportLag: Sendable {
        var end = Position.zero
        var events: UInt64 = 0
        var bytes = 0
        var age = Duration.zero

        /// Measures it; zero where the log is closed.
        init(of log: EventLog, next: UInt64) {
            guard let statistics = try? log.statisticsBlocking(), let segments = try? log.segmentsBlocking()
            else {
                return
            }
            self.end = statistics.nextPosition
            let from = max(next, statistics.firstPosition.rawValue)
            guard from < self.end.rawValue else { return }
            self.events = self.end.rawValue - from
            var parts = segments.map { ($0.positions, $0.uncompressedBytes) }
            parts.append((statistics.sealedEnd..<statistics.nextPosition, statistics.activeUncompressedBytes))
            for (positions, bytes) in parts where positions.upperBound.rawValue > from {
                let whole = Double(positions.upperBound.rawValue - positions.lowerBound.rawValue)
                let left = Double(positions.upperBound.rawValue - max(from, positions.lowerBound.rawValue))
                self.bytes += Int(Double(bytes) * left / max(whole, 1))
            }
            var query = EventQuery.all
            query.from = Position(from)
            query.limit = 1
            if let oldest = try? log.eventsBlocking(query).first {
                self.age = max(.zero, oldest.timestamp.duration(to: .now()))
            }
        }
    }
#endif
