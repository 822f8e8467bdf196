import Logging

/// Keeps what is logged.
struct LogRecorder: LogHandler {
    let events: Seen<LogEvent>
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .trace

    init(_ events: Seen<LogEvent>) { self.events = events }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) { self.events.add(event) }
}
