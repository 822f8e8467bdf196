import TidelogStorage

/// The records of a ledger, byte by byte (see Docs/Format.md, "Consumers").
enum LedgerCoding {
    private static let version: UInt8 = 1

    // MARK: The consumer's own record

    static func encode(number: UInt64, _ settings: ConsumerSettings) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(self.version)
        writer.varint(number)
        settings.encode(into: &writer)
        return writer.bytes
    }

    static func decodeConsumer(_ bytes: [UInt8]) throws(StorageError) -> (UInt64, ConsumerSettings) {
        var reader = try self.reader(bytes, "the record of a consumer")
        let number = try reader.varint()
        return (number, try ConsumerSettings(from: &reader))
    }

    // MARK: State

    static func encode(_ ledger: Ledger) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(self.version)
        writer.fixed(ledger.version)
        writer.fixed(ledger.boot)
        writer.byte(ledger.isPaused ? 1 : 0)
        writer.varint(ledger.epoch)
        writer.varint(ledger.frontier)
        writer.varint(ledger.frontier - ledger.checkpoint)
        writer.varint(ledger.nextGrant)
        for count in [
            ledger.counters.delivered, ledger.counters.acknowledged, ledger.counters.retried,
            ledger.counters.deadLettered, ledger.deadLetters,
        ] { writer.varint(count) }
        writer.fixed(ledger.lastProgress)
        writer.fixed(ledger.rate.since)
        writer.varint(ledger.rate.count)
        writer.varint(ledger.rate.last)
        writer.byte(ledger.lastError == nil ? 0 : 1)
        if let (attempt, position) = ledger.lastError {
            writer.varint(position)
            self.encode(attempt, into: &writer)
        }
        writer.varint(ledger.participants.count)
        for participant in ledger.participants {
            writer.fixed(participant.session)
            writer.varint(UInt64(participant.members))
            writer.fixed(participant.joined)
            writer.varint(UInt64(participant.process))
        }
        writer.varint(ledger.grants.count)
        for grant in ledger.grants {
            writer.varint(grant.number)
            writer.varint(grant.deadline)
            self.encode(grant.finished, into: &writer)
        }
        return writer.bytes
    }

    private static func encode(_ finished: FinishedSet, into writer: inout FieldWriter) {
        writer.varint(finished.ranges.count)
        var last = 0
        for range in finished.ranges {
            writer.varint(range.lowerBound - last)
            writer.varint(range.count)
            last = range.upperBound
        }
    }

    /// The version of a state record: all that has to be looked at where the ledger is in memory.
    static func stateVersion(_ bytes: [UInt8]) throws(StorageError) -> UInt64 {
        var reader = try self.reader(bytes, "the state of a consumer")
        return try reader.fixed()
    }

    /// The checkpoint of a state record, without the grants and waiting events that it follows from.
    static func summary(
        _ bytes: [UInt8], number: UInt64, _ settings: ConsumerSettings
    ) throws(StorageError) -> (ledger: Ledger, checkpoint: UInt64) {
        var reader = try self.reader(bytes, "the state of a consumer")
        return try self.fields(&reader, number, settings)
    }

    /// The state without the waiting events; grants are asked for by number.
    static func decodeState(
        _ bytes: [UInt8], number: UInt64, _ settings: ConsumerSettings,
        grant: (UInt64) throws(StorageError) -> [UInt8]?
    ) throws(StorageError) -> Ledger {
        var reader = try self.reader(bytes, "the state of a consumer")
        var ledger = try self.fields(&reader, number, settings).ledger
        for _ in 0..<(try reader.count()) {
            let grantNumber = try reader.varint()
            let deadline = try reader.varint()
            guard let record = try grant(grantNumber) else { throw reader.damage() }
            var known = try self.decodeGrant(record, number: grantNumber, deadline: deadline)
            var ranges: [Range<Int>] = []
            var last = 0
            for _ in 0..<(try reader.count()) {
                let start = last.addingReportingOverflow(try reader.int())
                let end = start.partialValue.addingReportingOverflow(try reader.int())
                guard !start.overflow, !end.overflow else { throw reader.damage() }
                ranges.append(start.partialValue..<end.partialValue)
                last = end.partialValue
            }
            guard let finished = FinishedSet(stored: ranges, end: known.positions.count) else {
                throw reader.damage()
            }
            known.finished = finished
            ledger.grants.append(known)
        }
        return ledger
    }

    private static func fields(
        _ reader: inout FieldReader, _ number: UInt64, _ settings: ConsumerSettings
    ) throws(StorageError) -> (ledger: Ledger, checkpoint: UInt64) {
        var ledger = Ledger(number: number, settings: settings, frontier: 0)
        ledger.version = try reader.fixed()
        ledger.boot = try reader.fixed()
        ledger.isPaused = try reader.byte() != 0
        ledger.epoch = try reader.varint()
        ledger.frontier = try reader.varint()
        let distance = try reader.varint()
        guard distance <= ledger.frontier else { throw reader.damage() }
        ledger.nextGrant = try reader.varint()
        ledger.counters.delivered = try reader.varint()
        ledger.counters.acknowledged = try reader.varint()
        ledger.counters.retried = try reader.varint()
        ledger.counters.deadLettered = try reader.varint()
        ledger.deadLetters = try reader.varint()
        ledger.lastProgress = try reader.fixed()
        ledger.rate.since = try reader.fixed()
        ledger.rate.count = try reader.varint()
        ledger.rate.last = try reader.varint()
        if try reader.byte() != 0 {
            let position = try reader.varint()
            ledger.lastError = (try self.attempt(&reader), position)
        }
        for _ in 0..<(try reader.count()) {
            let session: UInt64 = try reader.fixed()
            let members = UInt32(clamping: try reader.varint())
            let joined: Int64 = try reader.fixed()
            ledger.participants.append(
                Participant(
                    session: session, members: members, joined: joined,
                    process: UInt32(clamping: try reader.varint())))
        }
        return (ledger, ledger.frontier - distance)
    }

    // MARK: Grants

    static func encode(_ grant: Grant) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(self.version)
        writer.fixed(grant.session)
        writer.byte(
            (grant.isAlone ? 1 : 0) | (grant.counts.isEmpty ? 0 : 2) | (grant.keys.isEmpty ? 0 : 4))
        // Runs of positions: how many are skipped before each, and its length.
        var runs: [(skipped: UInt64, length: UInt64)] = []
        var next: UInt64 = 0
        for position in grant.positions {
            if position == next, !runs.isEmpty {
                runs[runs.count - 1].length += 1
            } else {
                runs.append((position - next, 1))
            }
            next = position + 1
        }
        writer.varint(grant.positions.count)
        for run in runs {
            writer.varint(run.skipped)
            writer.varint(run.length)
        }
        for count in grant.counts { writer.varint(UInt64(count)) }
        for key in grant.keys { writer.fixed(key) }
        return writer.bytes
    }

    static func decodeGrant(
        _ bytes: [UInt8], number: UInt64, deadline: UInt64
    ) throws(StorageError) -> Grant {
        var reader = try self.reader(bytes, "a grant of a consumer")
        let session: UInt64 = try reader.fixed()
        let flags = try reader.byte()
        let count = try reader.int()
        guard count > 0, count <= 1_000_000 else { throw reader.damage() }
        var positions: [UInt64] = []
        var next: UInt64 = 0
        while positions.count < count {
            let start = next.addingReportingOverflow(try reader.varint())
            let length = try reader.int()
            let end = start.partialValue.addingReportingOverflow(UInt64(length))
            guard !start.overflow, !end.overflow, length > 0, length <= count - positions.count else {
                throw reader.damage()
            }
            positions.append(contentsOf: start.partialValue..<end.partialValue)
            next = end.partialValue
        }
        var counts: [UInt32] = []
        if flags & 2 != 0 {
            for _ in 0..<count { counts.append(UInt32(clamping: try reader.varint())) }
        }
        var keys: [UInt32] = []
        if flags & 4 != 0 { for _ in 0..<count { keys.append(try reader.fixed()) } }
        return Grant(
            number: number, session: session, isAlone: flags & 1 != 0, positions: positions, counts: counts,
            keys: keys, deadline: deadline)
    }

    // MARK: Waiting events and dead letters

    static func encode(_ entry: Waiting) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(self.version)
        writer.fixed(entry.key)
        writer.varint(UInt64(entry.count))
        writer.varint(entry.due)
        writer.fixed(entry.wallDue)
        writer.varint(entry.delay)
        writer.byte(entry.isUnsure ? 1 : 0)
        self.encode(entry.attempts, into: &writer)
        return writer.bytes
    }

    static func decodeWaiting(_ bytes: [UInt8], position: UInt64) throws(StorageError) -> Waiting {
        var reader = try self.reader(bytes, "a waiting event of a consumer")
        var entry = Waiting(position: position, key: try reader.fixed())
        entry.count = UInt32(clamping: try reader.varint())
        entry.due = try reader.varint()
        entry.wallDue = try reader.fixed()
        entry.delay = try reader.varint()
        entry.isUnsure = try reader.byte() != 0
        entry.attempts = try self.attempts(&reader)
        return entry
    }

    static func encode(_ letter: StoredDeadLetter) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(self.version)
        writer.fixed(letter.key)
        writer.varint(UInt64(letter.count))
        writer.fixed(letter.time)
        writer.text(letter.reason)
        self.encode(letter.attempts, into: &writer)
        return writer.bytes
    }

    static func decodeDeadLetter(_ bytes: [UInt8], key: [UInt8]) throws(StorageError) -> StoredDeadLetter {
        var reader = try self.reader(bytes, "a dead letter of a consumer")
        let eventKey: UInt32 = try reader.fixed()
        let count = UInt32(clamping: try reader.varint())
        let time: Int64 = try reader.fixed()
        let reason = try reader.text()
        return StoredDeadLetter(
            position: ConsumerKeys.lastNumber(of: key.dropLast(8)), serial: ConsumerKeys.lastNumber(of: key),
            key: eventKey, count: count, time: time, reason: reason, attempts: try self.attempts(&reader))
    }

    private static func encode(_ attempts: [Attempt], into writer: inout FieldWriter) {
        writer.varint(attempts.count)
        for attempt in attempts { self.encode(attempt, into: &writer) }
    }

    private static func encode(_ attempt: Attempt, into writer: inout FieldWriter) {
        writer.fixed(attempt.time)
        writer.text(attempt.error)
    }

    private static func attempts(_ reader: inout FieldReader) throws(StorageError) -> [Attempt] {
        var attempts: [Attempt] = []
        for _ in 0..<(try reader.count()) { attempts.append(try self.attempt(&reader)) }
        return attempts
    }

    private static func attempt(_ reader: inout FieldReader) throws(StorageError) -> Attempt {
        Attempt(time: try reader.fixed(), error: try reader.text())
    }

    private static func reader(_ bytes: [UInt8], _ what: String) throws(StorageError) -> FieldReader {
        var reader = FieldReader(bytes, what: what)
        let version = try reader.byte()
        guard version == self.version else {
            throw StorageError(
                .unsupportedFormat,
                "\(what) has version \(version) and this build reads \(self.version); use a newer Tidelog")
        }
        return reader
    }
}
