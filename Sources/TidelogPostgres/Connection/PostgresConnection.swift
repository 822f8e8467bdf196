#if Postgres
    import CTidelogPostgres
    import Glibc

    /// A connection to a server, for one thread: every call blocks. The only place that touches libpq.
    ///
    /// Values go as bound parameters in binary form; names in statements come from ``PostgresNames``. Of the
    /// server's errors only code and primary message are kept: details can quote rows.
    final class PostgresConnection {
        let handle: OpaquePointer
        let switchOff: ConnectionSwitch
        let passwords: [String]
        private var attachment: Int?
        /// How long the server may be silent while something is waited for; nil: for ever.
        var answerLimit: Duration?
        /// Since when it is silent, where that is not since the wait began.
        var silentSince: ContinuousClock.Instant?
        /// Asks whether a server that is silent for too long is at work; nil: nobody asks, and it counts as
        /// lost.
        var inquiry: ServerInquiry?
        /// Whether the server was silent for too long, so that nothing more is asked of it on this connection.
        var isGivenUp = false
        /// The names of prepared statements by their text.
        var prepared: [PreparedKey: String] = [:]
        /// The names of those that have a place.
        var placed: [String?] = .init(repeating: nil, count: PostgresStatement.Place.count)
        /// The text of a statement that was sent ahead of the call that takes its answer.
        var ahead: String?
        /// Makes events of rows, and keeps what they have in common.
        var decoder = RowDecoder()
        /// What it knows of the log from its last append.
        var chain = AppendChain()
        /// The partitions that are known to be there.
        var partitions: Partitions?

        /// A connection that was made, or was not: `handle` is the owner's to ask.
        init(_ handle: OpaquePointer, _ switchOff: ConnectionSwitch, passwords: [String]) {
            self.handle = handle
            self.switchOff = switchOff
            self.passwords = passwords
        }

        deinit {
            if let attachment { self.switchOff.detach(attachment) }
            // What is not sent yet is waited for by nobody: the connection does not block.
            PQfinish(self.handle)
        }

        /// Has the switch cut this connection; false if the process has no descriptors left.
        func attach() -> Bool {
            self.attachment = self.switchOff.attach(PQsocket(self.handle))
            return self.attachment != nil
        }

        // MARK: Statements

        /// Whether the connection is of no use any more.
        var isBroken: Bool { self.isGivenUp || PQstatus(self.handle) != CONNECTION_OK }

        /// Runs one or more statements without parameters and answers.
        func execute(_ statement: String) throws(PostgresError) {
            let result = self.ask { PQsendQuery(self.handle, statement) }
            try self.check(result, statement, accepting: [.command, .rows])
        }

        /// Runs one statement; lends each row of its answer to `body`. Answers how many rows it concerned.
        @discardableResult
        func query(
            _ statement: String, _ parameters: [PostgresValue] = [],
            _ body: (PostgresRow) throws(PostgresError) -> Void = { _ throws(PostgresError) in }
        ) throws(PostgresError) -> Int {
            let result = self.ask {
                self.send(parameters) { count, types, values, lengths, formats in
                    PQsendQueryParams(self.handle, statement, count, types, values, lengths, formats, 1)
                }
            }
            try self.check(result, statement, accepting: [.command, .rows])
            try result.forEachRow(body)
            return result.count
        }

        /// Runs a `COPY … FROM STDIN (FORMAT binary)` with these bytes; answers how many rows it took.
        func copy(_ statement: String, _ bytes: [UInt8]) throws(PostgresError) -> Int {
            try self.check(
                self.ask { PQsendQuery(self.handle, statement) }, statement, accepting: [.copyIn])
            var isLost = false
            bytes.withUnsafeBytes { all in
                var at = 0
                while at < all.count, !isLost {
                    // In pieces, each sent before the next: libpq keeps what the socket has not taken.
                    let count = min(256 << 10, all.count - at)
                    let piece = all.baseAddress?.advanced(by: at).assumingMemoryBound(to: CChar.self)
                    isLost = PQputCopyData(self.handle, piece, Int32(count)) != 1
                    self.sendRest()
                    isLost = isLost || self.isGivenUp
                    at += count
                }
            }
            if isLost || PQputCopyEnd(self.handle, nil) != 1 { throw self.lost(while: statement) }
            let result = self.lastAnswer()
            try self.check(result, statement, accepting: [.command])
            return result.count
        }

        /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
        ///
        /// - Parameter doubt: is told what `body` returned if the connection is lost once the commit was asked for:
        ///   then it is not known whether it took place.
        func transaction<Value>(
            doubt: (Value) -> Void = { _ in }, _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            try self.execute("BEGIN")
            var done: Value?
            do throws(PostgresError) {
                let value = try body()
                done = value
                try self.execute("COMMIT")
                return value
            } catch {
                if let done, self.isBroken { doubt(done) }
                if !self.isBroken { try? self.execute("ROLLBACK") }
                throw error
            }
        }

        /// Waits for notifications, at most so long; answers whether there was one.
        func waitForNotification(_ timeout: Duration) throws(PostgresError) -> Bool {
            var entry = pollfd(fd: PQsocket(self.handle), events: Int16(POLLIN), revents: 0)
            let (seconds, attoseconds) = timeout.components
            let milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
            if PQisBusy(self.handle) == 0, self.takeNotifications() { return true }
            _ = poll(&entry, 1, milliseconds)
            guard PQconsumeInput(self.handle) == 1 else { throw self.lost(while: "LISTEN") }
            return self.takeNotifications()
        }

        private func takeNotifications() -> Bool {
            var isAny = false
            while let notification = PQnotifies(self.handle) {
                PQfreemem(notification)
                isAny = true
            }
            return isAny
        }

        // MARK: Below

        func send<Answer>(
            _ parameters: [PostgresValue],
            _ call: (
                Int32, UnsafePointer<Oid>, UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>,
                UnsafePointer<Int32>
            ) -> Answer
        ) -> Answer {
            // One block for all values, each with a byte behind it: an empty one must still have an address, or it
            // would be null.
            let count = parameters.count
            var block: [UInt8] = []
            block.reserveCapacity(parameters.reduce(count + 1) { $0 + $1.byteCount })
            return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count + 1) { types in
                withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * count + 2) { numbers in
                    types.initialize(repeating: 0)
                    // First the lengths, and -1 for null; then the formats, of which 1 is the binary one.
                    numbers.initialize(repeating: 1)
                    for index in 0..<count {
                        types[index] = parameters[index].typeNumber
                        numbers[index] = Int32(parameters[index].write(to: &block) ?? -1)
                        block.append(0)
                    }
                    block.append(0)
                    return Self.withPointers(block, numbers[..<count]) { values in
                        call(
                            Int32(count), UnsafePointer(types.baseAddress.unsafelyUnwrapped), values,
                            UnsafePointer(numbers.baseAddress.unsafelyUnwrapped),
                            UnsafePointer(numbers.baseAddress.unsafelyUnwrapped + count + 1))
                    }
                }
            }
        }

        /// Lends pointers to the values in a block, nil for nulls.
        private static func withPointers<Answer>(
            _ block: [UInt8], _ lengths: Slice<UnsafeMutableBufferPointer<Int32>>,
            _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Answer
        ) -> Answer {
            block.withUnsafeBytes { bytes in
                withUnsafeTemporaryAllocation(
                    of: UnsafePointer<CChar>?.self, capacity: lengths.count + 1
                ) { pointers in
                    pointers.initialize(repeating: nil)
                    var start = 0
                    for index in 0..<lengths.count {
                        let length = Int(lengths[index])
                        if length >= 0 {
                            pointers[index] = bytes.baseAddress?.advanced(by: start)
                                .assumingMemoryBound(to: CChar.self)
                        }
                        start += max(0, length) + 1
                    }
                    return body(UnsafePointer(pointers.baseAddress.unsafelyUnwrapped))
                }
            }
        }

        func check(
            _ result: ServerAnswer, _ statement: String, accepting kinds: AnswerKinds
        ) throws(PostgresError) {
            guard let handle = result.handle else { throw self.lost(while: statement) }
            try self.check(handle, statement, accepting: kinds)
        }

        func check(
            _ handle: OpaquePointer, _ statement: String, accepting kinds: AnswerKinds
        ) throws(PostgresError) {
            if kinds.contains(AnswerKinds(PQresultStatus(handle))) { return }
            guard let state = PQresultErrorField(handle, tidelog_pq_sqlstate) else {
                throw self.lost(while: statement)
            }
            let text = PQresultErrorField(handle, tidelog_pq_message).map { String(cString: $0) } ?? ""
            throw PostgresError(
                sqlState: String(cString: state), message: String(text.prefix(300)),
                while: Self.verb(statement))
        }

        func lost(while statement: String) -> PostgresError {
            if self.switchOff.isOff { return PostgresError(.closed, "the connection was cut by a stop") }
            if self.isGivenUp {
                return PostgresError(
                    .unreachable,
                    "\(Self.verb(statement)): the server has not answered within "
                        + "\(self.answerLimit ?? .zero), and the connection was dropped")
            }
            return PostgresError(
                .unreachable, "\(Self.verb(statement)): the connection was lost; it is tried again")
        }

        /// The statement's first word, for messages.
        private static func verb(_ statement: String) -> String {
            String(statement.drop { !$0.isLetter }.prefix { $0.isLetter })
        }
    }

    /// Kinds of answers that say no error.
    struct AnswerKinds: OptionSet {
        var rawValue: UInt32

        static var command: Self { .init(PGRES_COMMAND_OK) }
        static var rows: Self { .init(PGRES_TUPLES_OK) }
        static var row: Self { .init(PGRES_SINGLE_TUPLE) }
        static var copyIn: Self { .init(PGRES_COPY_IN) }
        static var fine: Self { [.command, .rows, .row, .copyIn] }

        init(rawValue: UInt32) { self.rawValue = rawValue }
        init(_ status: ExecStatusType) { self.rawValue = 1 << status.rawValue }
    }

    /// An answer of libpq, freed with its owner.
    final class ServerAnswer {
        let handle: OpaquePointer?
        init(_ handle: OpaquePointer?) { self.handle = handle }
        deinit { PQclear(self.handle) }

        /// How many rows the statement wrote, or read; 0 where it does neither.
        var count: Int { self.handle.map { atol(PQcmdTuples($0)) } ?? 0 }

        /// Lends each row of the answer.
        func forEachRow(_ body: (PostgresRow) throws(PostgresError) -> Void) throws(PostgresError) {
            guard let handle else { return }
            for row in 0..<PQntuples(handle) { try body(PostgresRow(result: handle, row: row)) }
        }
    }
#endif
