import Tidelog

/// Text as its bytes of UTF-8: names that look alike but differ in bytes are different names.
typealias Bytes = [UInt8]

extension String {
    var bytes: Bytes { Array(self.utf8) }
}

/// What must be true of a stream, as the model understands it.
enum Expectation {
    case any, noStream, exists
    case exact(UInt64)

    var asExpected: ExpectedRevision {
        switch self {
        case .any: .any
        case .noStream: .noStream
        case .exists: .streamExists
        case .exact(let revision): .exact(Revision(revision))
        }
    }
}

/// What the log may answer to an append.
struct Prediction {
    /// It may append the events anew.
    var mayAppend = false
    /// It may answer that they stand at this position already.
    var mayRepeatAt: UInt64?
    /// It may refuse with one of these.
    var mayRefuse: Set<EventLogError.Code> = []
}

/// The log as an array: every event ever appended, at the index of its position.
struct Model {
    struct Entry {
        var event: Event
        var revision: UInt64?
        /// Whether it is still on the disk, visible or not.
        var isStored = true
    }

    struct Stream {
        var name: String
        var next: UInt64 = 0
        var first: UInt64
        var last: UInt64
        var truncatedBefore: UInt64 = 0
        var isDeleted = false
    }

    private(set) var entries: [Entry] = []
    private(set) var streams: [Bytes: Stream] = [:]
    /// Below it nothing is kept.
    private(set) var first: UInt64 = 0
    private var newestByID: [Bytes: [UInt64]] = [:]
    let window: UInt64

    init(window: Int) {
        self.window = UInt64(window)
    }

    var end: UInt64 { UInt64(self.entries.count) }

    func isVisible(_ position: Int) -> Bool {
        let entry = self.entries[position]
        guard entry.isStored else { return false }
        guard let name = entry.event.stream, let stream = self.streams[name.bytes] else { return true }
        return !stream.isDeleted && (entry.revision ?? 0) >= stream.truncatedBefore
    }

    // MARK: Appending

    func predict(_ events: [Event], _ expectations: [(stream: String, expectation: Expectation)])
        -> Prediction
    {
        var prediction = Prediction()
        if Set(events.map { $0.id.description.bytes }).count < events.count {
            prediction.mayRefuse = [.invalidArgument]
            return prediction
        }
        var known: [(index: Int, position: UInt64)] = []
        var isDoubtful = false
        for (index, event) in events.enumerated() {
            let copies = (self.newestByID[event.id.description.bytes] ?? [])
                .filter { self.entries[Int($0)].isStored }
            guard let newest = copies.last else { continue }
            if newest + self.window >= self.end {
                known.append((index, newest))
            } else if newest + 4 * self.window >= self.end {
                isDoubtful = true
                known.append((index, newest))
            }
        }
        if let first = known.first {
            let isWhole =
                known.count == events.count
                && known.allSatisfy { index, position in
                    position == first.position + UInt64(index)
                        && Self.isSame(self.entries[Int(position)].event, events[index])
                }
            if isWhole {
                prediction.mayRepeatAt = first.position
            } else {
                prediction.mayRefuse.insert(.duplicateEvent)
            }
            if !isDoubtful { return prediction }
            prediction.mayRefuse.insert(.duplicateEvent)
        }
        let refusals = self.refusals(events, expectations)
        if refusals.isEmpty { prediction.mayAppend = true }
        prediction.mayRefuse.formUnion(refusals)
        return prediction
    }

    private func refusals(
        _ events: [Event], _ expectations: [(stream: String, expectation: Expectation)]
    ) -> Set<EventLogError.Code> {
        var refusals: Set<EventLogError.Code> = []
        for (name, expectation) in expectations {
            if case .any = expectation { continue }
            let stream = self.streams[name.bytes]
            if stream?.isDeleted == true {
                refusals.insert(.streamDeleted)
                continue
            }
            let next = stream?.next ?? 0
            let holds: Bool
            switch expectation {
            case .any: holds = true
            case .noStream: holds = next == 0
            case .exists: holds = next > 0
            case .exact(let revision): holds = next > 0 && next - 1 == revision
            }
            if !holds { refusals.insert(.conflict) }
        }
        if !refusals.isEmpty { return refusals }
        for event in events {
            if let name = event.stream, self.streams[name.bytes]?.isDeleted == true {
                return [.streamDeleted]
            }
        }
        return []
    }

    /// Takes in events that the log has appended; answers the last revision of each stream among them.
    mutating func append(_ events: [Event]) -> [(name: Bytes, last: UInt64)] {
        var last: [(name: Bytes, last: UInt64)] = []
        for event in events {
            let position = self.end
            var revision: UInt64?
            if let name = event.stream {
                var stream =
                    self.streams[name.bytes] ?? Stream(name: name, first: position, last: position)
                revision = stream.next
                stream.next += 1
                stream.last = position
                self.streams[name.bytes] = stream
                if let index = last.firstIndex(where: { $0.name == name.bytes }) {
                    last[index].last = stream.next - 1
                } else {
                    last.append((name.bytes, stream.next - 1))
                }
            }
            self.newestByID[event.id.description.bytes, default: []].append(position)
            self.entries.append(Entry(event: event, revision: revision))
        }
        return last
    }

    /// Equal but for the time.
    private static func isSame(_ stored: Event, _ offered: Event) -> Bool {
        Fingerprint(stored.withTimestamp(offered.timestamp)) == Fingerprint(offered)
    }

    // MARK: Changing

    mutating func truncate(_ name: String, before revision: UInt64) -> EventLogError.Code? {
        guard var stream = self.streams[name.bytes] else { return .notFound }
        if stream.isDeleted { return .streamDeleted }
        if revision > stream.next { return .invalidArgument }
        stream.truncatedBefore = max(stream.truncatedBefore, revision)
        self.streams[name.bytes] = stream
        return nil
    }

    mutating func delete(_ name: String, _ expectation: Expectation) -> EventLogError.Code? {
        guard var stream = self.streams[name.bytes] else { return .notFound }
        if stream.isDeleted { return .streamDeleted }
        switch expectation {
        case .noStream: return .conflict
        case .exact(let revision) where stream.next - 1 != revision: return .conflict
        default: break
        }
        stream.isDeleted = true
        self.streams[name.bytes] = stream
        return nil
    }

    /// Compaction of everything sealed: hidden events go, and all but the latest of each stream if asked.
    mutating func compact(sealedEnd: UInt64, keepsLatestOnly: Bool) {
        for position in Int(self.first)..<max(Int(self.first), Int(sealedEnd)) {
            guard self.entries[position].isStored else { continue }
            if !self.isVisible(position) {
                self.entries[position].isStored = false
            } else if keepsLatestOnly, let name = self.entries[position].event.stream,
                let stream = self.streams[name.bytes], stream.last != UInt64(position)
            {
                self.entries[position].isStored = false
            }
        }
    }

    mutating func retain(from position: UInt64) {
        guard position > self.first else { return }
        for index in Int(self.first)..<Int(position) { self.entries[index].isStored = false }
        self.first = position
    }

    // MARK: Reading

    func read(_ query: EventQuery) -> [Int] {
        var found: [Int] = []
        let low = query.from?.rawValue ?? 0
        let high = min(query.to?.rawValue ?? .max, self.end)
        guard low < high else { return [] }
        for position in Int(low)..<Int(high) where self.isVisible(position) {
            if self.matches(query, self.entries[position]) { found.append(position) }
        }
        if query.order == .newestFirst { found.reverse() }
        if let limit = query.limit { found = Array(found.prefix(limit)) }
        return found
    }

    private func matches(_ query: EventQuery, _ entry: Entry) -> Bool {
        let event = entry.event
        if !query.streams.isEmpty {
            guard let stream = event.stream?.bytes,
                query.streams.contains(where: { $0.bytes == stream })
            else { return false }
        }
        if let prefix = query.streamPrefix {
            guard let stream = event.stream?.bytes, stream.starts(with: prefix.bytes) else { return false }
        }
        if query.fromRevision != nil || query.toRevision != nil {
            guard let revision = entry.revision, revision >= query.fromRevision?.rawValue ?? 0,
                revision < query.toRevision?.rawValue ?? .max
            else { return false }
        }
        if !query.types.isEmpty, !query.types.contains(where: { $0.matches(event.type) }) { return false }
        if let since = query.since, event.timestamp < since { return false }
        if let until = query.until, event.timestamp >= until { return false }
        if let id = query.correlationID, event.correlationID?.description.bytes != id.description.bytes {
            return false
        }
        if let id = query.causationID, event.causationID?.description.bytes != id.description.bytes {
            return false
        }
        if let source = query.source, event.source?.bytes != source.bytes { return false }
        if let tenant = query.tenantID, event.metadata.tenantID?.bytes != tenant.bytes { return false }
        return true
    }
}

/// An event down to its bytes: texts that are canonically equivalent are equal for Swift, and not here.
struct Fingerprint: Hashable, CustomStringConvertible {
    let texts: [Bytes?]
    let numbers: [Int64]

    init(_ event: Event) {
        self.texts = [
            event.id.description.bytes, event.type.bytes, event.stream?.bytes, event.source?.bytes,
            event.correlationID?.description.bytes, event.causationID?.description.bytes,
            event.payload.contentType?.bytes, Array(event.payload.bytes), Array(event.metadata.json),
        ]
        self.numbers = [event.timestamp.nanosecondsSinceEpoch, Int64(event.schemaVersion)]
    }

    var description: String {
        let texts = self.texts.map { $0.map { String(decoding: $0.prefix(60), as: UTF8.self) } ?? "-" }
        return "\(texts) \(self.numbers)"
    }
}
