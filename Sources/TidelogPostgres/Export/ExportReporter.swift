#if Postgres
    import CoreMetrics
    import Logging
    import Synchronization
    import Tidelog

    /// Tells of an export while it runs: in the log's head, as a consumer for which retention waits, and by
    /// metrics. Once a second at the most, and never on the thread that exports.
    final class ExportReporter: Sendable {
        private struct Noted {
            var next: UInt64?
            var events = 0
            var bytes = 0
            var failures = 0
            var isPaused = false
            var errorCode: PostgresError.Code?
            var isEnrolled = false
            /// Events that the log was told of.
            var told = 0
        }

        private let log: EventLog
        private let configuration: PostgresExportConfiguration
        private let meters: ExportMeters?
        private let noted = Mutex(Noted())

        init(log: EventLog, configuration: PostgresExportConfiguration) {
            self.log = log
            self.configuration = configuration
            self.meters = configuration.metrics.map { ExportMeters($0, export: configuration.name) }
        }

        /// The consumer's name.
        private var name: String { self.configuration.consumerName }

        /// Whether the log can note anything.
        private var isWritable: Bool { self.log.configuration.mode != .readOnly }

        /// Sees to it that retention waits, before anything else is done.
        func enroll() async {
            guard self.isWritable else { return }
            var settings = ConsumerSettings()
            settings.filter = self.configuration.filter
            // A consumer has no bounds of revisions; what it is shown to want is then more than it does.
            settings.filter.fromRevision = nil
            settings.filter.toRevision = nil
            settings.start = .position(self.configuration.start)
            settings.holdsRetention = self.configuration.holdsRetention
            do throws(EventLogError) {
                try await self.log.consumers.enroll(self.name, settings: settings)
                self.noted.withLock { $0.isEnrolled = true }
            } catch {
                self.say(error)
            }
        }

        /// How far the log remembers the database to have been; nil if the export has not come on yet, or the
        /// log cannot be asked. An export comes on past events that its filter does not want, too.
        func remembered() async -> UInt64? {
            do throws(EventLogError) {
                guard let status = try await self.log.consumers.status(of: self.name),
                    status.acknowledged > 0 || status.lastProgress != nil
                else { return nil }
                return status.offset.rawValue
            } catch {
                self.say(error)
                return nil
            }
        }

        /// Tells what has changed.
        func report(_ report: ExportReport) async {
            let last = self.noted.withLock { noted in
                defer {
                    noted.next = report.known ?? noted.next
                    noted.events = report.events
                    noted.bytes = report.bytes
                    noted.failures = report.failures
                    noted.isPaused = report.isPaused
                    noted.errorCode = report.error?.code
                }
                return noted
            }
            self.meters?.report(
                report, events: report.events - last.events, bytes: report.bytes - last.bytes,
                failures: report.failures - last.failures)
            // An error that goes on is written once: the device's disk is not for that.
            // Nor is a stop while it was connecting an error of the export.
            let isOld = report.error?.code == last.errorCode || report.error?.code == .closed
            let error = isOld ? nil : report.error
            let isNews = report.known != last.next || report.isPaused != last.isPaused || error != nil
            guard self.isWritable, isNews else { return }
            if !last.isEnrolled { await self.enroll() }
            let next = report.known.map { Position($0) }
            do throws(EventLogError) {
                var known = next
                if known == nil { known = try await self.log.consumers.status(of: self.name)?.offset }
                guard let known else { return }
                try await self.log.consumers.note(
                    self.name,
                    OutsideProgress(
                        next: known, finished: report.events - last.told, isPaused: report.isPaused,
                        error: error?.description))
                self.noted.withLock { $0.told = report.events }
            } catch {
                // It is tried again with the next report; where somebody deleted the consumer, it is made again.
                self.noted.withLock { noted in
                    noted.next = nil
                    noted.errorCode = nil
                    if error.code == .notFound { noted.isEnrolled = false }
                }
                self.say(error)
            }
        }

        private func say(_ error: EventLogError) {
            self.configuration.logger.debug(
                "the export cannot be noted in the log", metadata: ["tidelog.error": "\(error)"])
        }
    }

    /// What there is to tell of an export.
    struct ExportReport: Sendable {
        var state: PostgresExportStatus.State
        var known: UInt64?
        var events: Int
        var bytes: Int
        /// Failures since the exporter was made.
        var failures: Int
        var isPaused: Bool
        var error: PostgresError?
        var rate: Double
        /// Nil where nobody asks.
        var lag: ExportLag?
    }

    /// The metrics of an export: see ``TelemetryNames``.
    private struct ExportMeters: Sendable {
        private let events: Counter
        private let bytes: Counter
        private let failures: Counter
        private let state: Gauge
        private let rate: Gauge
        private let lagEvents: Gauge
        private let lagBytes: Gauge
        private let lagSeconds: Gauge

        init(_ factory: any MetricsFactory, export: String) {
            let dimensions = [(TelemetryNames.exportDimension, export)]
            func counter(_ label: String) -> Counter {
                Counter(label: label, dimensions: dimensions, factory: factory)
            }
            func gauge(_ label: String) -> Gauge {
                Gauge(label: label, dimensions: dimensions, factory: factory)
            }
            self.events = counter(TelemetryNames.exportedEvents)
            self.bytes = counter(TelemetryNames.exportedBytes)
            self.failures = counter(TelemetryNames.exportFailures)
            self.state = gauge(TelemetryNames.exportState)
            self.rate = gauge(TelemetryNames.exportRate)
            self.lagEvents = gauge(TelemetryNames.exportLagEvents)
            self.lagBytes = gauge(TelemetryNames.exportLagBytes)
            self.lagSeconds = gauge(TelemetryNames.exportLagSeconds)
        }

        func report(_ report: ExportReport, events: Int, bytes: Int, failures: Int) {
            if events > 0 { self.events.increment(by: events) }
            if bytes > 0 { self.bytes.increment(by: bytes) }
            if failures > 0 { self.failures.increment(by: failures) }
            self.state.record(report.state.number)
            self.rate.record(report.rate)
            guard let lag = report.lag else { return }
            self.lagEvents.record(lag.events)
            self.lagBytes.record(lag.bytes)
            let (seconds, attoseconds) = lag.age.components
            self.lagSeconds.record(Double(seconds) + Double(attoseconds) / 1e18)
        }
    }
#endif
