import TidelogStorage

/// Why a process manager stopped. It goes on from there when it is started again.
public struct ProcessFailure: Hashable, Sendable {
    /// The event that it stopped at; nil if it was a timer.
    public let position: Position?
    /// The instance; empty if the event could not be read.
    public let instance: String
    /// The timer that it stopped at; nil if it was an event.
    public let timer: String?
    /// What the log refused it with; nil if a function threw.
    public let code: EventLogError.Code?
    /// Which of the events that it sent was refused; nil if a function threw, or if no single one was at fault.
    public let output: ProcessOutput?
    /// What the function threw, or the log refused it with, as text.
    public let message: String

    init(
        position: Position?, instance: String, timer: String? = nil, code: EventLogError.Code? = nil,
        output: ProcessOutput? = nil, message: String
    ) {
        self.position = position
        self.instance = instance
        self.timer = timer
        self.code = code
        self.output = output
        self.message = message
    }
}

/// An event that a process manager sent, and that the log refused.
public struct ProcessOutput: Hashable, Sendable {
    /// Which one it was of those that were sent in answer to one event or timer, from 0; of an event that is to
    /// undo another one, the index of that one.
    public let index: Int
    /// Its id.
    public let eventID: EventID
    /// Its type.
    public let type: String
    /// The stream that it was for.
    public let stream: String?

    init(index: Int, eventID: EventID, type: String, stream: String?) {
        self.index = index
        self.eventID = eventID
        self.type = type
        self.stream = stream
    }

    init(_ event: Event, index: Int) {
        self.init(index: index, eventID: event.id, type: event.type, stream: event.stream)
    }
}

/// An event or a timer that a process manager handles.
struct ProcessInput: Sendable {
    /// The event's; nil for a timer.
    var position: Position?
    var instance: String
    var timer: String?

    /// That one of the functions threw.
    func failure(of thrown: any Error) -> ProcessFailure {
        ProcessFailure(
            position: self.position, instance: self.instance, timer: self.timer, message: "\(thrown)")
    }

    /// That the log refused what came of it.
    func failure(refused error: EventLogError, _ output: ProcessOutput? = nil) -> ProcessFailure {
        ProcessFailure(
            position: self.position, instance: self.instance, timer: self.timer, code: error.code,
            output: output, message: "\(error)")
    }
}

extension ProcessFailure {
    func error(of name: String) -> EventLogError {
        var place = self.timer.map { "the timer '\($0)'" } ?? "an event"
        if let output {
            place += ", whose event \(output.index) (type '\(TerminalText.escape(output.type))') was refused,"
        }
        return EventLogError(
            .projectionFailed,
            "the process '\(name)' stopped at \(place) of instance '\(TerminalText.escape(self.instance))': "
                + "\(self.message); everything is as of before",
            positions: self.position.map { $0..<Position($0.rawValue + 1) })
    }
}

extension EventLogError {
    private static let passing: Set<Code> = [
        .storageFull, .closed, .poisoned, .locked, .inputOutput, .cancelled, .permissionDenied, .unavailable,
    ]

    /// Whether the log would answer the same if it were asked again, with what it was given.
    var isRefusal: Bool {
        if let storage = self.cause as? StorageError, storage.code == .readersFull { return false }
        return !Self.passing.contains(self.code)
    }

    /// The event that it is about, where the storage layer knows.
    func output(among events: [Event]) -> ProcessOutput? {
        guard let refused = (self.cause as? StorageError)?.event,
            let index = events.firstIndex(where: { $0.record.id == refused })
        else { return nil }
        return ProcessOutput(events[index], index: index)
    }
}
