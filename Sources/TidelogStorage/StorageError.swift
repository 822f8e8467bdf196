/// What went wrong in the storage layer: the one error that this module throws.
///
/// The message says what happened, where, and the way out. Payloads never appear in it.
package struct StorageError: Error, CustomStringConvertible, Sendable {
    /// What went wrong, in terms the layer above can act on.
    package enum Code: String, Sendable {
        /// Bytes on disk do not match their checksum, digest, or format.
        case corrupted
        /// The disk, the quota or the file-size limit has no room.
        case diskFull
        /// The environment's map, or its soft limit, has no room.
        case mapFull
        /// Another process or environment holds what was asked for.
        case locked
        /// There is no such file, directory, database, or segment.
        case notFound
        /// Something stands where nothing should.
        case alreadyExists
        /// The operating system denied access.
        case permission
        /// A file of another kind, or written by a newer version.
        case unsupportedFormat
        /// An argument is outside what the layer accepts.
        case invalidArgument
        /// A read, write or sync failed in the operating system.
        case inputOutput
        /// The environment or log is closed.
        case closed
        /// An earlier write or sync failed, so what is durable is unknown.
        case poisoned
        /// All reader slots are taken.
        case readersFull
        /// A C library reported an error with no better name here.
        case library
        /// An expectation about a stream did not hold.
        case conflict
        /// An event id is known already, with other contents or in another place.
        case duplicate
        /// The stream was deleted.
        case streamDeleted
        /// A limit of the configuration was exceeded.
        case limitExceeded
        /// The task that waited was cancelled before anything was written.
        case cancelled
        /// A lease ended before its holder said so: another may have taken over.
        case leaseLost
    }

    package let code: Code
    /// One sentence or two for a person: what, where, what to do.
    package let message: String
    /// The C library's or the operating system's own number, if one was given.
    package let number: Int32?
    /// The file concerned, if one is.
    package let path: String?
    /// The log positions concerned, if known.
    package let positions: Range<UInt64>?
    /// The stream's actual revision, where a conflict is reported; nil if it has no events.
    package let actualRevision: UInt64?
    /// The event of an append that was refused, where it is about one of them.
    package let event: Identifier?

    package init(
        _ code: Code, _ message: String, number: Int32? = nil, path: String? = nil,
        positions: Range<UInt64>? = nil, actualRevision: UInt64? = nil, event: Identifier? = nil
    ) {
        self.code = code
        self.message = message
        self.number = number
        self.path = path
        self.positions = positions
        self.actualRevision = actualRevision
        self.event = event
    }

    /// The same, about one event of an append.
    func about(_ event: Identifier) -> StorageError {
        StorageError(
            self.code, self.message, number: self.number, path: self.path, positions: self.positions,
            actualRevision: self.actualRevision, event: event)
    }

    package var description: String {
        var text = "\(self.code.rawValue): \(self.message)"
        if let path { text += " [\(path)]" }
        if let positions { text += " [positions \(positions.lowerBound)..<\(positions.upperBound)]" }
        if let number { text += " (\(number))" }
        return text
    }
}
