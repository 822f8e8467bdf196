#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads files of one JSON event a line, in pieces of any size.
///
/// ```swift
/// var decoder = EventLineDecoder()
/// var events: [Event] = []
/// while let piece = try readSome() { try decoder.decode(piece, into: &events) }
/// try decoder.finish(into: &events)
/// ```
///
/// Lines end with a line feed, before which a carriage return may stand; lines of white space are passed
/// over, and so is a byte order mark at the very start. Errors name the line, counted from 1.
public struct EventLineDecoder: Sendable {
    /// How many lines have been read.
    public private(set) var lineCount = 0

    /// The most bytes that a line may have, so that a file without lines is refused early. Default: six times
    /// the size of the largest event, as text may need six bytes for one, and 64 KiB.
    public var maximumLineBytes: Int

    private var decoder: EventJSONDecoder
    private var rest: [UInt8] = []
    private var isAtStart = true

    /// A decoder of lines in this form, or in either.
    public init(form: EventForm? = nil, limits: EventLimits = .init()) {
        self.decoder = EventJSONDecoder(form: form, limits: limits)
        self.maximumLineBytes =
            limits.maximumEventBytes.multipliedReportingOverflow(by: 6).partialValue + 65_536
    }

    /// Appends the events of the lines that `piece` completes.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` or `invalidEvent`; the message names the line.
    ///   Events of the lines before it have been appended; the decoder is of no further use.
    public mutating func decode(_ piece: [UInt8], into events: inout [Event]) throws(EventLogError) {
        try piece.withUnsafeBufferPointer { piece throws(EventLogError) in
            try self.decode(UnsafeRawBufferPointer(piece), into: &events)
        }
    }

    /// Appends the events of the lines that `piece` completes.
    package mutating func decode(
        _ piece: UnsafeRawBufferPointer, into events: inout [Event]
    ) throws(EventLogError) {
        var at = 0
        while let end = Self.lineEnd(piece, from: at) {
            let line = UnsafeRawBufferPointer(rebasing: piece[at..<end])
            at = end + 1
            if self.rest.isEmpty {
                try self.decodeLine(line, into: &events)
            } else {
                try self.keep(line)
                try self.decodeRest(into: &events)
            }
        }
        try self.keep(UnsafeRawBufferPointer(rebasing: piece[at...]))
    }

    /// Appends the event of the last line, if it did not end with a line feed.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` or `invalidEvent`; the message names the line.
    public mutating func finish(into events: inout [Event]) throws(EventLogError) {
        if !self.rest.isEmpty { try self.decodeRest(into: &events) }
    }

    private static func lineEnd(_ piece: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = piece.baseAddress, start < piece.count,
            let found = memchr(base + start, 0x0A, piece.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer) throws(EventLogError) {
        guard self.rest.count + bytes.count <= self.maximumLineBytes else {
            throw EventLogError(
                .malformedInput,
                "Line \(self.lineCount + 1) is longer than \(self.maximumLineBytes) bytes. Is this a file of"
                    + " one JSON event a line?")
        }
        self.rest.append(contentsOf: bytes)
    }

    private mutating func decodeRest(into events: inout [Event]) throws(EventLogError) {
        var line: [UInt8] = []
        swap(&line, &self.rest)
        try line.withUnsafeBufferPointer { line throws(EventLogError) in
            try self.decodeLine(UnsafeRawBufferPointer(line), into: &events)
        }
        line.removeAll(keepingCapacity: true)
        swap(&line, &self.rest)
    }

    private mutating func decodeLine(
        _ line: UnsafeRawBufferPointer, into events: inout [Event]
    ) throws(EventLogError) {
        self.lineCount += 1
        var line = line
        if self.isAtStart, line.starts(with: [0xEF, 0xBB, 0xBF]) {
            line = UnsafeRawBufferPointer(rebasing: line[3...])
        }
        self.isAtStart = false
        guard let first = line.first(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { return }
        if first == UInt8(ascii: "[") {
            throw EventLogError(
                .malformedInput,
                "Line \(self.lineCount): an array starts here. Write one event a line, or read the batch with"
                    + " EventJSONDecoder.")
        }
        events.append(try self.decoder.decode(line, line: self.lineCount))
    }
}
