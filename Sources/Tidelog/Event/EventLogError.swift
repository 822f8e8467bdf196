package import TidelogStorage

/// The one error that Tidelog throws.
///
/// ```swift
/// do {
///     try await log.append([placed], to: "order-42", expecting: .noStream)
/// } catch EventLogError.Code.conflict {
///     // Someone placed it first: an answer, not a failure.
/// }
/// ```
public struct EventLogError: Error, CustomStringConvertible {
    /// What went wrong, in terms a caller can act on. New codes may come; none will change its meaning.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String, Sendable {
            case conflict, corrupted, storageFull, locked, closed, poisoned, notFound, alreadyExists
            case permissionDenied, unsupportedFormat, invalidEvent, invalidArgument, limitExceeded
            case duplicateEvent, streamDeleted, inputOutput, cancelled, malformedInput, decodingFailed
            case projectionFailed, schemaViolation, incompatibleSchema
            case leaseLost, alreadySettled, eventsGone, deadLettersFull, unavailable
        }

        private let kind: Kind
        private init(_ kind: Kind) { self.kind = kind }

        /// A stream is not where the append expected it. Read it again and decide again.
        public static var conflict: Self { .init(.conflict) }
        /// Bytes on disk are not what was written. `verify` says what is hit, `repair` keeps the rest.
        public static var corrupted: Self { .init(.corrupted) }
        /// The disk, the quota or the log's own size limit has no room. Nothing was written.
        public static var storageFull: Self { .init(.storageFull) }
        /// Another process, or this one, holds the log in a way that excludes what was asked.
        public static var locked: Self { .init(.locked) }
        /// The log was closed.
        public static var closed: Self { .init(.closed) }
        /// An earlier write or sync failed, so what is durable is unknown. Reopen the log.
        public static var poisoned: Self { .init(.poisoned) }
        /// There is no such log, file, segment or stream.
        public static var notFound: Self { .init(.notFound) }
        /// Something stands where nothing should.
        public static var alreadyExists: Self { .init(.alreadyExists) }
        /// The operating system denied access.
        public static var permissionDenied: Self { .init(.permissionDenied) }
        /// A file of another kind, or of a newer version of Tidelog.
        public static var unsupportedFormat: Self { .init(.unsupportedFormat) }
        /// An event that no log accepts: without a type, with a name too long, too large.
        public static var invalidEvent: Self { .init(.invalidEvent) }
        /// An argument that the call does not accept.
        public static var invalidArgument: Self { .init(.invalidArgument) }
        /// A limit of the configuration would be exceeded.
        public static var limitExceeded: Self { .init(.limitExceeded) }
        /// The id of an event is in the log already, with other contents or in another stream.
        public static var duplicateEvent: Self { .init(.duplicateEvent) }
        /// The stream was deleted and takes no more events.
        public static var streamDeleted: Self { .init(.streamDeleted) }
        /// A read, a write or a sync failed in the operating system.
        public static var inputOutput: Self { .init(.inputOutput) }
        /// The waiting task was cancelled before anything was written.
        public static var cancelled: Self { .init(.cancelled) }
        /// Text that was to be read (JSON, CloudEvents, a timestamp, a pattern) is not well-formed.
        public static var malformedInput: Self { .init(.malformedInput) }
        /// A payload is not what the caller's type asks for.
        public static var decodingFailed: Self { .init(.decodingFailed) }
        /// The delivery is no longer this member's: its lease ran out, or the consumer was moved or deleted.
        /// Another may have it; do not act on it any more.
        public static var leaseLost: Self { .init(.leaseLost) }
        /// The delivery was acknowledged, given back or parked before.
        public static var alreadySettled: Self { .init(.alreadySettled) }
        /// Events that the consumer has not seen were dropped by retention.
        public static var eventsGone: Self { .init(.eventsGone) }
        /// The consumer keeps as many dead letters as it may. Retry or drop some.
        public static var deadLettersFull: Self { .init(.deadLettersFull) }

        /// The store's server cannot be reached, or the connection to it was lost. Calls can be made again: an
        /// append that took place after all is known by its ids.
        public static var unavailable: Self { .init(.unavailable) }

        /// A projection's or a process manager's own function threw. `positions` tells at which event.
        public static var projectionFailed: Self { .init(.projectionFailed) }
        /// A payload is not what the schema of its type and version demands.
        public static var schemaViolation: Self { .init(.schemaViolation) }
        /// A version of a schema would not go together with those before it.
        public static var incompatibleSchema: Self { .init(.incompatibleSchema) }

        /// The code with this name; nil if this build knows none.
        init?(name: String) {
            guard let kind = Kind(rawValue: name) else { return nil }
            self.kind = kind
        }

        /// The code's name.
        public var description: String { self.kind.rawValue }

        /// Whether `error` is an ``EventLogError`` with this code, so that `catch` can name codes.
        public static func ~= (code: Self, error: any Error) -> Bool {
            (error as? EventLogError)?.code == code
        }
    }

    /// What went wrong, to act on.
    public let code: Code
    /// What went wrong, for a person: what happened, where, and the way out. No payloads, no credentials.
    public let message: String
    /// The error below this one, if there is one.
    public let cause: (any Error)?
    /// The file concerned, if one is.
    public let path: String?
    /// The places in the log concerned, if known.
    public let positions: Range<Position>?
    /// Where a conflict is reported: the stream's latest revision, nil if it has no events.
    public let actualRevision: Revision?

    /// An error with this code and message.
    public init(
        _ code: Code, _ message: String, cause: (any Error)? = nil, path: String? = nil,
        positions: Range<Position>? = nil, actualRevision: Revision? = nil
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.path = path
        self.positions = positions
        self.actualRevision = actualRevision
    }

    /// Code, message, path and positions on one line.
    public var description: String {
        var text = "\(self.code): \(self.message)"
        if let path { text += " [\(path)]" }
        if let positions { text += " [positions \(positions.lowerBound)..<\(positions.upperBound)]" }
        return text
    }
}

extension EventLogError {
    /// The storage layer's error as callers of the log see it: the one place where codes are translated.
    package init(_ error: StorageError) {
        self.init(
            Code(storage: error.code), error.message, cause: error, path: error.path,
            positions: error.positions.map { Position($0.lowerBound)..<Position($0.upperBound) },
            actualRevision: error.actualRevision.map { Revision($0) })
    }

    /// Runs `body` and translates what it throws.
    package static func translating<Value: ~Copyable>(
        _ body: () throws(StorageError) -> Value
    ) throws(EventLogError) -> Value {
        do {
            return try body()
        } catch {
            throw EventLogError(error)
        }
    }
}

extension EventLogError.Code {
    /// The code that callers see for one of the storage layer.
    package init(storage code: StorageError.Code) {
        switch code {
        case .corrupted: self = .corrupted
        case .diskFull, .mapFull: self = .storageFull
        case .locked: self = .locked
        case .notFound: self = .notFound
        case .alreadyExists: self = .alreadyExists
        case .permission: self = .permissionDenied
        case .unsupportedFormat: self = .unsupportedFormat
        case .invalidArgument: self = .invalidArgument
        case .inputOutput, .library: self = .inputOutput
        case .closed: self = .closed
        case .poisoned: self = .poisoned
        case .readersFull, .limitExceeded: self = .limitExceeded
        case .conflict: self = .conflict
        case .duplicate: self = .duplicateEvent
        case .streamDeleted: self = .streamDeleted
        case .cancelled: self = .cancelled
        case .leaseLost: self = .leaseLost
        }
    }
}
