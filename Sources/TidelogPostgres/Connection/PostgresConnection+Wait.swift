#if Postgres
    import CTidelogPostgres
    import Glibc

    /// How a connection waits: for the socket alone, and no longer than the server may be silent. libpq itself is in
    /// its mode that does not block (PostgreSQL, "Asynchronous Command Processing"); its calls that wait for an
    /// answer by themselves, such as PQexec, are not used.
    ///
    /// Invariants:
    /// - Whatever goes through in either direction counts as an answer; silence is what is limited.
    /// - After too long a silence the connection is given up, unless the server, asked on another one, is at
    ///   work. It is broken then, and no call of it waits again.
    extension PostgresConnection {
        /// Asks by `send`, which answers 1 if libpq took it, and waits for the answer: the last one where there are
        /// several, as PQexec does.
        func ask(_ send: () -> Int32) -> ServerAnswer {
            // What nobody has taken of an earlier answer is in the way.
            while let rest = self.nextAnswer() {
                PQclear(rest)
                if self.isBroken { break }
            }
            guard !self.isBroken, send() == 1 else { return ServerAnswer(nil) }
            return self.lastAnswer()
        }

        /// The last answer to what was sent. A statement that stands alone is answered before it is committed, and
        /// what fails then is said after that: so where the connection is lost, an answer that says no error is none.
        func lastAnswer() -> ServerAnswer {
            var last: OpaquePointer?
            while let answer = self.nextAnswer() {
                PQclear(last)
                last = answer
                if PQresultStatus(answer) == PGRES_COPY_IN || self.isBroken { break }
            }
            let answer = ServerAnswer(last)
            let isFine = AnswerKinds.fine.contains(AnswerKinds(PQresultStatus(last)))
            return isFine && self.isBroken ? ServerAnswer(nil) : answer
        }

        /// The next answer; nil after the last one, and where the connection is given up.
        func nextAnswer() -> OpaquePointer? {
            self.sendRest()
            while !self.isGivenUp, PQisBusy(self.handle) == 1 {
                // What failed is said by the answer below, which nothing holds up then.
                if !self.wait(for: POLLIN) || PQconsumeInput(self.handle) != 1 { break }
            }
            if self.isGivenUp { return nil }
            self.silentSince = nil
            return PQgetResult(self.handle)
        }

        /// Whether something is not sent yet that was to be.
        var hasRest: Bool { PQflush(self.handle) == 1 }

        /// Sends what is not sent yet; reads meanwhile, for the server may want to be read first.
        func sendRest() {
            while !self.isGivenUp, PQflush(self.handle) == 1 {
                if !self.wait(for: POLLIN | POLLOUT) || PQconsumeInput(self.handle) != 1 { return }
            }
        }

        /// Until when an answer must have come to what was sent ahead; nil: at any time.
        var answerDeadline: ContinuousClock.Instant? {
            guard let answerLimit, let silentSince else { return nil }
            return silentSince + answerLimit
        }

        /// Whether the server says so on another connection; false where it is not asked.
        private var isAtWork: Bool { self.inquiry?.isAtWork(until: { self.switchOff.isOff }) ?? false }

        /// Waits for the socket; false if the server was silent for too long, and the connection is given up.
        private func wait(for events: Int32) -> Bool {
            var entry = pollfd(fd: PQsocket(self.handle), events: Int16(events), revents: 0)
            // Without a socket there is nothing to wait for, and libpq says so.
            if entry.fd < 0 { return true }
            // What TLS has taken from the socket and keeps for itself is not seen there: so it is asked for from
            // time to time, soon at first.
            let looks =
                events == POLLIN && (PQsslInUse(self.handle) == 1 || PQgssEncInUse(self.handle) == 1)
            var slice: Int32 = 1
            if looks, self.silentSince == nil { self.silentSince = .now }
            while true {
                var left: Int32 = -1
                if let answerLimit {
                    let gone = self.silentSince.map { ContinuousClock.now - $0 } ?? .zero
                    let (seconds, attoseconds) = (answerLimit - gone).components
                    left = Int32(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1))
                    if answerLimit <= gone { left = 0 }
                }
                let time = looks ? min(left < 0 ? .max : left, slice) : left
                let count = poll(&entry, 1, time)
                if count > 0 {
                    self.silentSince = nil
                    return true
                }
                if count < 0, left != 0 {
                    // A signal; how long it has waited must not be forgotten.
                    if self.silentSince == nil { self.silentSince = .now }
                } else if time == left {
                    // What came while it was asked, as its answer does that was on the way, is an answer.
                    guard self.isAtWork || poll(&entry, 1, 0) > 0 else {
                        self.isGivenUp = true
                        return false
                    }
                    self.silentSince = .now
                } else {
                    slice = min(slice * 2, 64)
                    guard PQconsumeInput(self.handle) == 1, PQisBusy(self.handle) == 1 else { return true }
                }
            }
        }
    }
#endif
