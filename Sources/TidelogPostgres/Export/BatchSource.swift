#if Postgres
    import Dispatch
    import Synchronization
    import Tidelog

    /// Events of the log as rows, ready to be sent.
    struct ExportBatch: Sendable {
        /// Where it begins, and the position that follows it: in between there is nothing else to export.
        var from: UInt64, next: UInt64
        /// The oldest event that retention had left when it was read.
        var logFirst: UInt64
        /// Data for a binary `COPY`.
        var bytes: [UInt8]
        /// Rows.
        var count: Int
        /// The fingerprint of their positions.
        var fingerprint: PositionFingerprint
        /// The last event's position and digest.
        var last: Anchor?
        /// The log's event just before `next`, exported or not, if it is there.
        var anchor: Anchor?
        /// The months of the events' timestamps, where partitions need them.
        var months: Set<Int>
    }

    /// What shows that two sides mean the same event.
    struct Anchor: Sendable, Equatable {
        var position: UInt64
        var digest: [UInt8]
    }

    /// Reads batches from the log, one ahead of the caller, on a thread of its own; two are held at most, and a large
    /// one, of an event that is larger than a batch, is held alone.
    final class BatchSource: Sendable {
        private struct State {
            var wanted: UInt64?
            /// Bytes of the batches to be read.
            var bytes = 0
            var ready: (from: UInt64, result: Result<ExportBatch, PostgresError>)?
            var isOver = false
        }

        private let log: EventLog
        private let logID: (UInt64, UInt64)
        private let configuration: PostgresExportConfiguration
        private let countsMonths: Bool
        private let state = Mutex(State())
        private let work = DispatchSemaphore(value: 0)
        private let done = DispatchSemaphore(value: 0)

        init(
            log: EventLog, logID: (UInt64, UInt64), configuration: PostgresExportConfiguration,
            countsMonths: Bool
        ) {
            self.log = log
            self.logID = logID
            self.configuration = configuration
            self.countsMonths = countsMonths
            PlainThread.start("tidelog-encode", isBackground: true) { [self] in self.run() }
        }

        /// The batch that begins at a position; blocks. The next one is prepared meanwhile.
        ///
        /// - Parameter bytes: how large batches are to be that are read from now on.
        func batch(from position: UInt64, bytes: Int) throws(PostgresError) -> ExportBatch {
            self.state.withLock { $0.bytes = bytes }
            while true {
                let (found, mustAsk) = self.state.withLock {
                    state -> (Result<ExportBatch, PostgresError>?, Bool) in
                    if let ready = state.ready {
                        state.ready = nil
                        // What is ready may be an end that has moved since, or another place.
                        if ready.from == position, case .success(let batch) = ready.result,
                            batch.next > position
                        {
                            // While a large one is held no other is read.
                            let isLarge = batch.bytes.count > 2 * self.configuration.batchBytes
                            state.wanted = isLarge ? nil : batch.next
                            return (ready.result, !isLarge)
                        }
                        if ready.from == position, state.wanted == nil, case .failure = ready.result {
                            return (ready.result, false)
                        }
                    } else if state.wanted != nil {
                        return (nil, false)  // at work on it, or on another
                    }
                    state.wanted = position
                    return (nil, true)
                }
                if mustAsk { self.work.signal() }
                if let found { return try found.get() }
                self.done.wait()
            }
        }

        /// Ends the thread.
        func end() {
            self.state.withLock { $0.isOver = true }
            self.work.signal()
        }

        private func run() {
            while true {
                self.work.wait()
                let (wanted, bytes, isOver) = self.state.withLock { ($0.wanted, $0.bytes, $0.isOver) }
                if isOver { return }
                guard let wanted else { continue }
                let result: Result<ExportBatch, PostgresError>
                do throws(PostgresError) {
                    result = .success(try self.read(from: wanted, to: .max, bytes: bytes))
                } catch {
                    result = .failure(error)
                }
                self.state.withLock { state in
                    if state.wanted == wanted { state.wanted = nil }
                    state.ready = (wanted, result)
                }
                self.done.signal()
            }
        }

        /// Reads a batch of the events from one position to before another; blocks.
        ///
        /// - Parameter bytes: how large it is to be; nil: as configured.
        func read(
            from position: UInt64, to limit: UInt64, bytes: Int? = nil
        ) throws(PostgresError) -> ExportBatch {
            let most = bytes ?? self.configuration.batchBytes
            var encoder = RowEncoder(logID: self.logID, reserving: most + (64 << 10))
            var last: StoredEvent?
            var months: Set<Int> = []
            var fingerprint = PositionFingerprint()
            var failure: PostgresError?
            var isFull = false
            var next = position
            var before: StoredEvent?
            var logFirst: UInt64
            do throws(EventLogError) {
                logFirst = try self.log.firstPositionBlocking().rawValue
                let end = min(try self.log.nextPositionBlocking().rawValue, limit)
                if end > position {
                    var query = self.configuration.filter
                    query.from = Position(position)
                    query.to = Position(end)
                    try self.log.scan(query) { view throws(EventLogError) in
                        // What is too large to go with the others is left for the next batch.
                        let size = try view.withPayload { $0.byteCount }
                        if encoder.count > 0, encoder.bytes.count + size > most {
                            isFull = true
                            return false
                        }
                        let stored = try view.copy()
                        do throws(PostgresError) {
                            try encoder.append(stored)
                        } catch {
                            failure = error
                            return false
                        }
                        if self.countsMonths { months.insert(Partitions.month(of: stored.timestamp)) }
                        fingerprint.toggle(stored.position.rawValue)
                        last = stored
                        isFull =
                            encoder.bytes.count >= most
                            || encoder.count >= self.configuration.batchEvents
                        return !isFull
                    }
                    next = isFull ? (last?.position.rawValue ?? position) + 1 : end
                }
                // What retention dropped between that look and the reading is not in the batch, unless it has no gap.
                if UInt64(encoder.count) < next - position {
                    logFirst = try self.log.firstPositionBlocking().rawValue
                }
                if next > 0, last?.position.rawValue != next - 1 {
                    before = try self.log.eventBlocking(at: Position(next - 1))
                }
            } catch {
                throw PostgresError(error)
            }
            if let failure { throw failure }
            encoder.finish()
            let lastAnchor = last.map { Anchor($0) }
            return ExportBatch(
                from: position, next: next, logFirst: logFirst, bytes: encoder.bytes, count: encoder.count,
                fingerprint: fingerprint, last: lastAnchor, anchor: before.map { Anchor($0) } ?? lastAnchor,
                months: months)
        }
    }

    extension Anchor {
        init(_ stored: StoredEvent) {
            self.position = stored.position.rawValue
            self.digest = EventDigest.digest(of: stored)
        }
    }
#endif
