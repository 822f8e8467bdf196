public import Logging
import TidelogStorage

/// A handler that threw.
public struct BusFailure: Sendable {
    /// The event that it was called with.
    public var event: Event
    /// What it is subscribed to.
    public var pattern: TypePattern
    /// What it threw.
    public var error: any Error
    /// When.
    public var timestamp: Timestamp

    /// The failure of a handler with this event.
    public init(event: Event, pattern: TypePattern, error: any Error, timestamp: Timestamp = .now()) {
        self.event = event
        self.pattern = pattern
        self.error = error
        self.timestamp = timestamp
    }
}

/// Counts failures, logs them, and offers them to whoever listens: a part for authors of buses.
public final class BusFailures: Sendable {
    private struct State {
        var count: UInt64 = 0
        var countByPattern: [TypePattern: UInt64] = [:]
        var listeners: [Int: AsyncStream<BusFailure>.Continuation] = [:]
        var nextListener = 0
        var isFinished = false
    }

    /// How many patterns are counted apart; their counts decide what is logged.
    private static let patternLimit = 1024
    private static let kept = 256

    private let logger: Logger
    private let state = Lock(State())

    /// Failures that are logged with this logger.
    public init(logger: Logger) {
        self.logger = logger
    }

    /// How many there have been.
    public var count: UInt64 { self.state.withLock { $0.count } }

    /// Counts a failure, logs it, and offers it to those who listen.
    ///
    /// Of the failures of one pattern the first, second, fourth, eighth and so on are logged: a handler that
    /// always throws must not fill the log.
    public func report(_ failure: BusFailure) {
        let (listeners, number) = self.state.withLock { state in
            state.count += 1
            if state.countByPattern.count >= Self.patternLimit { state.countByPattern.removeAll() }
            state.countByPattern[failure.pattern, default: 0] += 1
            return (Array(state.listeners.values), state.countByPattern[failure.pattern] ?? 1)
        }
        for listener in listeners { listener.yield(failure) }
        guard number & (number - 1) == 0 else { return }
        self.logger.info(
            "a handler threw", metadata: TelemetryNames.logMetadata(of: failure, number: number))
    }

    /// The failures from now on.
    public func stream() -> AsyncStream<BusFailure> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: BusFailure.self, bufferingPolicy: .bufferingNewest(Self.kept))
        let number = self.state.withLock { state -> Int? in
            if state.isFinished { return nil }
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.listeners[number] = nil }
        }
        return stream
    }

    /// Ends the streams; what was offered can still be read from them.
    public func finish() {
        let listeners = self.state.withLock { state in
            state.isFinished = true
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
    }
}
