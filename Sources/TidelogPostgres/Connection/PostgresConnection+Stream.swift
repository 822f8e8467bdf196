#if Postgres
    import CTidelogPostgres

    extension PostgresConnection {
        /// The most bytes of parameters that a caller sends who must not be blocked.
        private static var aheadBytes: Int { 32 << 10 }

        /// Sends a query, and comes back at once; ``stream(_:_:)`` of the same query is to take its rows next. False
        /// if it is not prepared here, could not be sent, or may not fit into the socket's buffer.
        func sendAhead(_ statement: PostgresStatement) -> Bool {
            let bytes = statement.parameters.reduce(0) { $0 + $1.byteCount }
            guard bytes <= Self.aheadBytes, self.sendPrepared(statement), PQsetSingleRowMode(self.handle) == 1
            else { return false }
            self.ahead = statement.text
            return true
        }

        /// Runs one query and lends its rows as they arrive, holding one at a time; `body` ends it by false.
        func stream(
            _ query: PostgresStatement, _ body: (PostgresRow) throws(PostgresError) -> Bool
        ) throws(PostgresError) {
            let statement = query.text
            if self.ahead == statement {
                self.ahead = nil
            } else {
                let name = try self.prepare(query)
                let sent = self.send(query.parameters) { count, _, values, lengths, formats in
                    PQsendQueryPrepared(self.handle, name, count, values, lengths, formats, 1)
                }
                guard sent == 1, PQsetSingleRowMode(self.handle) == 1 else {
                    throw self.lost(while: statement)
                }
            }
            var failure: PostgresError?
            var goesOn = true
            while let answer = self.nextAnswer() {
                defer { PQclear(answer) }
                do throws(PostgresError) {
                    if PQresultStatus(answer) != PGRES_SINGLE_TUPLE {
                        try self.check(answer, statement, accepting: [.rows])
                    } else if failure == nil, goesOn {
                        goesOn = try body(PostgresRow(result: answer, row: 0))
                        if !goesOn { self.cancel() }
                    }
                } catch {
                    // What comes after a wish to stop is the answer to that wish.
                    if goesOn, failure == nil {
                        failure = error
                        if !self.isBroken { self.cancel() }
                    }
                    if self.isBroken { break }
                }
            }
            if let failure { throw failure }
            // Who wished for no more rows has what he wished for.
            if self.isGivenUp, goesOn { throw self.lost(while: statement) }
        }

        /// How long asking for a statement to be given up may take.
        private static var cancelLimit: Duration { .seconds(5) }

        /// Asks the server to give up the running statement, on a connection that libpq makes for it, and waits
        /// until the server has heard it: heard later, it would hit another statement. So where that takes too
        /// long, this connection is given up, too.
        private func cancel() {
            guard let request = PQgetCancel(self.handle) else { return }
            let number = UInt(bitPattern: request)
            let free: @Sendable () -> Void = { PQfreeCancel(OpaquePointer(bitPattern: number)) }
            let outcome = AbandonableCall.run(
                "tidelog-pgcancel", kind: "cancel", limit: Self.cancelLimit,
                until: { self.switchOff.isOff }
            ) { _ in
                var buffer = [CChar](repeating: 0, count: 256)
                PQcancel(OpaquePointer(bitPattern: number), &buffer, 256)
                free()
            }
            switch outcome {
            case .done: return
            case .refused: free()
            case .late, .stopped: break
            }
            self.isGivenUp = true
        }
    }
#endif
