#if Postgres
    import CTidelogPostgres

    /// A statement with its parameters, to be prepared once a connection.
    struct PostgresStatement {
        /// Where a connection keeps the name of a statement that is used all the time: finding it by its text, which is
        /// long, costs more than sending it. The parameters' types are always the same.
        struct Place {
            let number: Int
            static let stream = Self(number: 0), streamBackwards = Self(number: 1)
            static func append(_ shape: SingleAppendText.Shape) -> Self { .init(number: 2 + shape.number) }
            static let count = 2 + SingleAppendText.Shape.all.count
        }

        var text: String
        var parameters: [PostgresValue] = []
        var place: Place?
    }

    /// What a prepared statement is known by: the same text may come with a null, which has a type of its own.
    struct PreparedKey: Hashable {
        let text: String
        let types: [UInt32]

        init(_ statement: PostgresStatement) {
            self.text = statement.text
            self.types = statement.parameters.map { $0.typeNumber }
        }
    }

    extension PostgresConnection {
        /// How many statements a connection keeps prepared.
        private static var preparedLimit: Int { 200 }

        /// The statement's name, if it is prepared.
        private func known(_ statement: PostgresStatement) -> String? {
            if let place = statement.place { return self.placed[place.number] }
            return self.prepared[PreparedKey(statement)]
        }

        /// The name of the prepared statement; prepared now, if it was not before.
        func prepare(_ statement: PostgresStatement) throws(PostgresError) -> String {
            if let name = self.known(statement) { return name }
            let name = try self.prepare([statement])[0]
            if let place = statement.place { self.placed[place.number] = name }
            return name
        }

        /// The names of statements that are used together, of which none may forget another.
        private func prepare(_ statements: [PostgresStatement]) throws(PostgresError) -> [String] {
            let keys = statements.map { PreparedKey($0) }
            let news = Set(keys.filter { self.prepared[$0] == nil }).count
            if news > 0, self.prepared.count + news > Self.preparedLimit { try self.forgetPrepared() }
            var names: [String] = []
            for key in keys {
                if let name = self.prepared[key] {
                    names.append(name)
                } else {
                    names.append(try self.prepare(key))
                }
            }
            return names
        }

        private func forgetPrepared() throws(PostgresError) {
            try self.execute("DEALLOCATE ALL")
            self.prepared = [:]
            for place in self.placed.indices { self.placed[place] = nil }
        }

        private func prepare(_ key: PreparedKey) throws(PostgresError) -> String {
            let name = "tidelog_\(self.prepared.count)"
            let answer = self.ask {
                PQsendPrepare(self.handle, name, key.text, Int32(key.types.count), key.types)
            }
            try self.check(answer, key.text, accepting: [.command])
            self.prepared[key] = name
            return name
        }

        /// Runs a statement in a transaction of its own, and lends each row of its answer to `body`. Answers how many
        /// rows it concerned.
        @discardableResult
        func run(
            _ statement: PostgresStatement, _ body: (PostgresRow) throws(PostgresError) -> Void
        ) throws(PostgresError) -> Int {
            let name = try self.prepare(statement)
            let answer = self.ask {
                self.send(statement.parameters) { count, _, values, lengths, formats in
                    PQsendQueryPrepared(self.handle, name, count, values, lengths, formats, 1)
                }
            }
            try self.check(answer, statement.text, accepting: [.command, .rows])
            try answer.forEachRow(body)
            return answer.count
        }

        /// The socket, to be slept on.
        var socket: Int32 { PQsocket(self.handle) }

        /// Sends a statement and comes back at once; false if it is not prepared here or could not be sent. To be
        /// followed by ``takeAnswer(to:_:)``.
        ///
        /// The statement should fit into the socket's buffer: the rest is sent only by whoever takes the answer.
        func sendPrepared(_ statement: PostgresStatement) -> Bool {
            guard let name = self.known(statement), !self.isBroken else { return false }
            let sent = self.send(statement.parameters) { count, _, values, lengths, formats in
                PQsendQueryPrepared(self.handle, name, count, values, lengths, formats, 1)
            }
            // The silence begins now, whenever the answer is waited for.
            if sent == 1, self.answerLimit != nil { self.silentSince = .now }
            return sent == 1
        }

        /// Waits for the answer to a statement that was sent, and lends each of its rows to `body`. Answers how many
        /// rows the statement concerned.
        func takeAnswer(
            to statement: String, _ body: (PostgresRow) throws(PostgresError) -> Void
        ) throws(PostgresError) -> Int {
            let answer = self.lastAnswer()
            try self.check(answer, statement, accepting: [.command, .rows])
            try answer.forEachRow(body)
            return answer.count
        }

        /// Whether the server has ended the connection; reads what it has sent without being asked.
        var isClosed: Bool { PQconsumeInput(self.handle) != 1 || self.isBroken }

        /// Runs statements in one go: all are sent before the first answer is read. Lends each row of each
        /// statement's answer to `body`, with the statement's number.
        ///
        /// Unless they hold a `BEGIN`, they are one transaction: committed when this returns, rolled back if it
        /// throws; whether it was committed when the connection is lost is not known.
        func pipeline(
            _ statements: [PostgresStatement],
            _ body: (Int, PostgresRow) throws(PostgresError) -> Void = { _, _ throws(PostgresError) in }
        ) throws(PostgresError) {
            let names = try self.prepare(statements)
            guard PQenterPipelineMode(self.handle) == 1 else { throw self.lost(while: "pipeline") }
            var failure: PostgresError?
            for (name, statement) in zip(names, statements) {
                let sent = self.send(statement.parameters) { count, _, values, lengths, formats in
                    PQsendQueryPrepared(self.handle, name, count, values, lengths, formats, 1)
                }
                if sent != 1 { failure = self.lost(while: statement.text) }
            }
            if failure == nil, PQpipelineSync(self.handle) != 1 { failure = self.lost(while: "sync") }
            if let failure { throw failure }
            try self.takeAnswers(statements, body)
            guard PQexitPipelineMode(self.handle) == 1 else { throw self.lost(while: "pipeline") }
        }

        private func takeAnswers(
            _ statements: [PostgresStatement],
            _ body: (Int, PostgresRow) throws(PostgresError) -> Void
        ) throws(PostgresError) {
            var failure: PostgresError?
            var index = 0
            while true {
                let answer = ServerAnswer(self.nextAnswer())
                guard let handle = answer.handle else {
                    // Between two statements' answers; but a connection that is gone has no end of these.
                    if self.isBroken { throw failure ?? self.lost(while: "pipeline") }
                    continue
                }
                let status = PQresultStatus(handle)
                if status == PGRES_PIPELINE_SYNC { break }
                // After a read row by row, libpq goes on in that manner here: each row is an answer, then the end.
                let isRow = status == PGRES_SINGLE_TUPLE
                let text = index < statements.count ? statements[index].text : "COMMIT"
                do throws(PostgresError) {
                    if status != PGRES_PIPELINE_ABORTED {
                        try self.check(
                            answer, text, accepting: [.command, .rows, .row])
                        if failure == nil {
                            try answer.forEachRow { row throws(PostgresError) in try body(index, row) }
                        }
                    }
                } catch {
                    if failure == nil { failure = error }
                    if self.isBroken { throw failure ?? error }
                }
                if !isRow { index += 1 }
            }
            if let failure {
                if PQexitPipelineMode(self.handle) != 1 { throw self.lost(while: "pipeline") }
                throw failure
            }
        }
    }
#endif
