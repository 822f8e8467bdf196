import SystemPackage
import Tidelog
import TidelogTesting

/// What a run found wrong.
struct Mismatch: Error, CustomStringConvertible {
    let description: String
}

/// One random history of a log, played to the log and to the model at once.
struct ModelRun {
    let seed: UInt64
    var maker: EventMaker
    var model: Model
    var configuration = EventLogConfiguration()
    var log: EventLog
    /// Where logs and backups are.
    let directory: FilePath
    /// Where the log is: it moves when a backup is restored.
    var path: FilePath
    var copies = 0
    /// What was appended, for repeats.
    private var appended: [[Event]] = []
    private(set) var history: [String] = []

    init(seed: UInt64, hostileNames: Bool, directory: FilePath) async throws {
        self.seed = seed
        self.maker = EventMaker(seed: seed, hostileNames: hostileNames)
        self.configuration.segmentSizeBytes = self.maker.pick([8, 16, 32, 64]) << 10
        self.configuration.blockSizeBytes = self.maker.pick([1, 2, 8]) << 10
        self.configuration.idempotenceWindow = self.maker.pick([16, 100, 400, 4000])
        self.configuration.openSegments = self.maker.pick([1, 3, 100])
        self.configuration.cachedFrames = self.maker.pick([1, 4, 64])
        self.configuration.streamCacheBytes = self.maker.pick([0, 8 << 10, 64 << 10, 8 << 20])
        self.configuration.sealsInBackground = self.maker.pick([true, false])
        self.model = Model(window: self.configuration.idempotenceWindow)
        self.directory = directory
        self.path = directory.appending("log.tidelog")
        self.log = try await EventLog.open(at: self.path, configuration: self.configuration)
    }

    mutating func play(operations: Int) async throws {
        for _ in 0..<operations { try await self.step() }
        try await self.compareEverything()
        try await self.reopen()
        try await self.compareEverything()
        await self.log.close()
    }

    private mutating func step() async throws {
        switch self.maker.random.below(100) {
        case 0..<34: try await self.append()
        case 34..<40: try await self.appendTogether()
        case 40..<48: try await self.repeatAppend()
        case 48..<72: try await self.read()
        case 72..<76: try await self.readOne()
        case 76..<80: try await self.listStreams()
        case 80..<83: try await self.seal()
        case 83..<86: try await self.compact()
        case 86..<89: try await self.retain()
        case 89..<93: try await self.truncate()
        case 93..<95: try await self.delete()
        case 95: try await self.compareStatistics()
        case 96: try await self.backUp()
        default: try await self.reopen()
        }
    }

    mutating func note(_ text: String) { self.history.append(text) }

    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw Mismatch(description: message()) }
    }

    // MARK: Appending

    private mutating func expectation(for name: String) -> Expectation {
        let next = self.model.streams[name.bytes]?.next ?? 0
        switch self.maker.random.below(8) {
        case 0: return .noStream
        case 1: return .exists
        case 2: return .exact(next)
        case 3: return .exact(next > 0 ? next - 1 : 0)
        case 4: return next > 0 ? .exact(next - 1) : .noStream
        default: return .any
        }
    }

    private mutating func append() async throws {
        let events = self.maker.events(self.maker.random.chance(permille: 20) ? 0 : self.maker.batchSize())
        if self.maker.random.chance(permille: 500) {
            let name = self.maker.streamName()
            let expectation = self.expectation(for: name)
            let streamed = events.map { $0.withStream(name) }
            self.note("append \(events.count) to \(name) expecting \(expectation)")
            try await self.expect(streamed, [(name, expectation)]) { log in
                try await log.append(events, to: name, expecting: expectation.asExpected)
            }
            return
        }
        var expectations: [(stream: String, expectation: Expectation)] = []
        var names: Set<Bytes> = []
        for _ in 0..<self.maker.random.below(4) {
            let name = self.maker.streamName()
            // A dictionary of the caller's cannot hold two names that are canonically equivalent.
            guard names.insert(name.bytes).inserted, !expectations.contains(where: { $0.stream == name })
            else { continue }
            expectations.append((name, self.expectation(for: name)))
        }
        self.note("append \(events.count) expecting \(expectations)")
        let asked = Dictionary(
            uniqueKeysWithValues: expectations.map { ($0.stream, $0.expectation.asExpected) })
        try await self.expect(events, expectations) { log in try await log.append(events, expecting: asked) }
    }

    private mutating func repeatAppend() async throws {
        guard !self.appended.isEmpty else { return }
        let recent =
            self.maker.random.chance(permille: 700) ? min(self.appended.count, 4) : self.appended.count
        var events = self.appended[self.appended.count - 1 - self.maker.random.below(recent)]
        var kind = "whole"
        switch self.maker.random.below(8) {
        case 0:
            kind = "a part"
            events = Array(events.dropFirst(self.maker.random.below(events.count)))
        case 1:
            kind = "with a new event"
            events.append(self.maker.event())
        case 2:
            kind = "with another payload"
            events[events.count - 1].payload = EventPayload(text: "changed")
        case 3:
            kind = "to another stream"
            events[0].stream = events[0].stream == "a" ? "b" : "a"
        case 4:
            kind = "reversed"
            events.reverse()
        case 5:
            kind = "with an id twice"
            events.append(events[0])
        case 6:
            kind = "at another time"
            events = events.map { $0.withTimestamp(Timestamp(nanosecondsSinceEpoch: 5)) }
        default: break
        }
        self.note("repeat \(kind) of \(events.count)")
        let (offered, none) = (events, [String: ExpectedRevision]())
        try await self.expect(offered, []) { log in try await log.append(offered, expecting: none) }
    }

    private mutating func expect(
        _ events: [Event], _ expectations: [(stream: String, expectation: Expectation)],
        _ append: (EventLog) async throws -> AppendResult
    ) async throws {
        let prediction = self.model.predict(events, expectations)
        do {
            let result = try await append(self.log)
            if result.isRepeat {
                try self.require(
                    prediction.mayRepeatAt == result.positions.lowerBound.rawValue
                        && result.positions.count == events.count,
                    "answered as a repeat at \(result.positions), predicted \(prediction)")
                return
            }
            try self.require(prediction.mayAppend, "appended at \(result.positions), predicted \(prediction)")
            try self.take(events, result)
        } catch let error as EventLogError {
            try self.require(
                prediction.mayRefuse.contains(error.code), "\(error); predicted \(prediction)")
        }
    }

    private mutating func take(_ events: [Event], _ result: AppendResult) throws {
        try self.require(
            result.positions.lowerBound.rawValue == self.model.end && result.positions.count == events.count,
            "appended at \(result.positions), the log ends at \(self.model.end)")
        let last = self.model.append(events)
        let answered = result.streams.map { ($0.name.bytes, $0.lastRevision.rawValue) }
        try self.require(
            answered.elementsEqual(last.map { ($0.name, $0.last) }, by: ==),
            "revisions \(result.streams), expected "
                + "\(last.map { (String(decoding: $0.name, as: UTF8.self), $0.last) })")
        if !events.isEmpty { self.appended.append(events) }
    }

    /// Several callers at once, so that the writer gathers their events in one frame.
    private mutating func appendTogether() async throws {
        let names = EventMaker.plainStreams + (self.maker.hostileNames ? EventMaker.hostileStreams : [])
        let living = names.filter {
            self.model.streams[$0.bytes]?.isDeleted != true
        }
        var batches: [[Event]] = []
        for _ in 0..<2 + self.maker.random.below(7) {
            var events: [Event] = []
            for _ in 0..<self.maker.pick([1, 1, 2, 5, 50]) {
                let name = living.isEmpty ? nil : self.maker.pick(living)
                events.append(self.maker.event(stream: name).withStream(name))
            }
            batches.append(events)
        }
        self.note("append together \(batches.map(\.count))")
        let log = self.log
        let results = try await withThrowingTaskGroup(of: (Int, AppendResult).self) { group in
            for (index, batch) in batches.enumerated() {
                group.addTask { (index, try await log.append(batch)) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for (index, result) in results.sorted(by: { $0.1.positions.lowerBound < $1.1.positions.lowerBound }) {
            try self.take(batches[index], result)
        }
    }

    // MARK: Reading

    private mutating func query() -> EventQuery {
        var query = EventQuery()
        let end = Int(self.model.end)
        if self.maker.random.chance(permille: 400) {
            let low = self.maker.random.below(end + 2)
            query.from = Position(UInt64(low))
            if self.maker.random.chance(permille: 500) {
                query.to = Position(UInt64(low + self.maker.random.below(end + 2)))
            }
        }
        if self.maker.random.chance(permille: 400) { query.order = .newestFirst }
        if self.maker.random.chance(permille: 400) { query.limit = self.maker.pick([0, 1, 2, 7, 50]) }
        if self.maker.random.chance(permille: 350) {
            query.streams = (0..<self.maker.pick([1, 1, 2, 3])).map { _ in self.maker.streamName() }
            if self.maker.random.chance(permille: 300) {
                let low = self.maker.random.below(20)
                query.fromRevision = Revision(UInt64(low))
                query.toRevision = Revision(UInt64(low + self.maker.random.below(20)))
            }
        } else if self.maker.random.chance(permille: 150) {
            query.streamPrefix = self.maker.pick(["a", "order-1", "s", "caf", "cafe", "nn", ""])
        }
        if self.maker.random.chance(permille: 300) {
            query.types = (0..<self.maker.pick([1, 1, 2])).map { _ in self.maker.pick(EventMaker.patterns) }
        }
        if self.maker.random.chance(permille: 200) { query.correlationID = self.maker.smallID() }
        if self.maker.random.chance(permille: 100) { query.causationID = self.maker.smallID() }
        if self.maker.random.chance(permille: 100) { query.source = self.maker.pick(EventMaker.sources) }
        if self.maker.random.chance(permille: 100) { query.tenantID = "t1" }
        if self.maker.random.chance(permille: 150) {
            let low = Int64(self.maker.random.below(100_000))
            query.since = Timestamp(nanosecondsSinceEpoch: low)
            query.until = Timestamp(nanosecondsSinceEpoch: low + Int64(self.maker.random.below(50_000)))
        }
        return query
    }

    private mutating func read() async throws {
        let query = self.maker.random.chance(permille: 400) ? self.streamQuery() : self.query()
        self.note("read \(query)")
        let expected = self.model.read(query)
        if self.maker.random.chance(permille: 300) {
            let count = try await self.log.count(query)
            try self.require(count == expected.count, "counted \(count) of \(expected.count)")
            return
        }
        try await self.compare(query, expected)
    }

    /// A whole stream, or what an aggregate reads of one.
    private mutating func streamQuery() -> EventQuery {
        var query = EventQuery.stream(self.maker.streamName())
        if self.maker.random.chance(permille: 300) { query.order = .newestFirst }
        if self.maker.random.chance(permille: 200) { query.limit = self.maker.random.below(5) }
        if self.maker.random.chance(permille: 200) {
            query.fromRevision = Revision(UInt64(self.maker.random.below(20)))
        }
        return query
    }

    private func compare(_ query: EventQuery, _ expected: [Int]) async throws {
        var found: [StoredEvent] = []
        for try await stored in self.log.read(query) { found.append(stored) }
        let positions = found.map { Int($0.position.rawValue) }
        try self.require(positions == expected, "read \(positions), expected \(expected)")
        for stored in found { try self.compare(stored) }
    }

    private func compare(_ stored: StoredEvent) throws {
        let entry = self.model.entries[Int(stored.position.rawValue)]
        try self.require(
            Fingerprint(stored.event) == Fingerprint(entry.event)
                && stored.revision?.rawValue == entry.revision,
            "at \(stored.position): \(Fingerprint(stored.event)) revision \(stored.revision as Any), not "
                + "\(Fingerprint(entry.event)) revision \(entry.revision as Any)")
    }

    private mutating func readOne() async throws {
        guard self.model.end > 0 else { return }
        let position = self.maker.random.below(Int(self.model.end) + 2)
        self.note("event at \(position)")
        let isThere = position < self.model.end && self.model.isVisible(position)
        let stored = try await self.log.event(at: Position(UInt64(position)))
        try self.require(
            (stored != nil) == isThere, "event \(stored == nil ? "missing" : "there") at \(position)")
        if let stored { try self.compare(stored) }
        guard position < self.model.end else { return }
        let id = self.model.entries[position].event.id
        let copies = self.model.entries.indices.filter {
            self.model.entries[$0].event.id.description.bytes == id.description.bytes
                && self.model.isVisible($0)
        }
        let byID = try await self.log.event(id: id)
        try self.require(
            byID.map { copies.contains(Int($0.position.rawValue)) } ?? copies.isEmpty,
            "event by id \(id) at \(byID?.position as Any), expected one of \(copies)")
        if let byID { try self.compare(byID) }
    }

    private mutating func listStreams() async throws {
        let prefix = self.maker.pick(["", "", "a", "order-1", "caf", "s"])
        let limit = self.maker.pick([1, 3, 1000])
        self.note("streams with '\(prefix)', pages of \(limit)")
        var found: [StreamInfo] = []
        while true {
            let page = try await self.log.streams(prefix: prefix, after: found.last?.name, limit: limit)
            found += page
            if page.count < limit { break }
        }
        let expected = self.model.streams.filter { $0.key.starts(with: prefix.bytes) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        try self.require(
            found.map(\.name.bytes) == expected.map(\.key),
            "streams \(found.map(\.name)), expected \(expected.map(\.value.name))")
        for (info, stream) in zip(found, expected.map(\.value)) { try self.compare(info, stream) }
        let name = self.maker.streamName()
        let one = try await self.log.stream(name)
        try self.require(
            (one != nil) == (self.model.streams[name.bytes] != nil), "stream \(name): \(one as Any)")
        if let one, let stream = self.model.streams[name.bytes] { try self.compare(one, stream) }
    }

    private func compare(_ info: StreamInfo, _ stream: Model.Stream) throws {
        try self.require(
            info.lastRevision.rawValue == stream.next - 1 && info.firstPosition.rawValue == stream.first
                && info.lastPosition.rawValue == stream.last && info.isDeleted == stream.isDeleted
                && (stream.isDeleted || info.firstRevision.rawValue == stream.truncatedBefore),
            "\(info), expected \(stream)")
    }

    // MARK: Maintenance

    private mutating func seal() async throws {
        self.note("seal")
        try await self.log.seal()
        let statistics = try await self.log.statistics()
        try self.require(statistics.sealedEnd.rawValue == self.model.end, "sealed to \(statistics.sealedEnd)")
    }

    private mutating func compact() async throws {
        // What the thread in the background has sealed by now, the model cannot know: then all of it is.
        if self.configuration.sealsInBackground || self.maker.random.chance(permille: 500) {
            try await self.seal()
        }
        var options = CompactionOptions()
        options.keepsLatestOnly = self.maker.random.chance(permille: 250)
        options.mergesSegments = self.maker.random.chance(permille: 500)
        self.note("compact \(options)")
        let before = try await self.log.statistics()
        let report = try await self.log.compact(options)
        self.model.compact(
            sealedEnd: before.sealedEnd.rawValue, keepsLatestOnly: options.keepsLatestOnly)
        let after = try await self.log.statistics()
        try self.require(
            before.sealedEvents - after.sealedEvents == report.eventsRemoved
                && report.segmentsAfter == after.segments,
            "\(report), sealed events \(before.sealedEvents) before and \(after.sealedEvents) after")
        try await self.compareStatistics()
    }

    private mutating func retain() async throws {
        guard self.maker.random.chance(permille: 400) else { return }
        var policy = RetentionPolicy()
        switch self.maker.random.below(3) {
        case 0: policy.maximumEvents = self.maker.random.below(2000)
        case 1: policy.maximumBytes = self.maker.random.below(200_000)
        default:
            policy.maximumAge = .seconds(1)
            policy.keepFrom = Position(UInt64(self.maker.random.below(Int(self.model.end) + 1)))
        }
        self.note("retain \(policy)")
        let before = try await self.log.segments()
        let dropped = try await self.log.retain(policy)
        try self.require(
            dropped.count <= before.count || self.configuration.sealsInBackground,
            "dropped \(dropped.count) of \(before.count)")
        if let keepFrom = policy.keepFrom, let last = dropped.last {
            try self.require(last.positions.upperBound <= keepFrom, "dropped \(last.positions) past keepFrom")
        }
        if let last = dropped.last { self.model.retain(from: last.positions.upperBound.rawValue) }
        if let maximum = policy.maximumEvents {
            let left = self.model.entries.count { $0.isStored }
            try self.require(left >= min(maximum, left), "\(left) are left")
        }
        try await self.compareStatistics()
    }

    private mutating func truncate() async throws {
        let name = self.maker.streamName()
        let next = Int(self.model.streams[name.bytes]?.next ?? 0)
        let revision = UInt64(self.maker.random.below(next + 2))
        self.note("truncate \(name) before \(revision)")
        let expected = self.model.truncate(name, before: revision)
        try await self.refused(expected) { try await $0.truncate(stream: name, before: Revision(revision)) }
    }

    private mutating func delete() async throws {
        guard self.maker.random.chance(permille: 500) else { return }
        let name = self.maker.streamName()
        let expectation = self.expectation(for: name)
        self.note("delete \(name) expecting \(expectation)")
        let expected = self.model.delete(name, expectation)
        try await self.refused(expected) {
            try await $0.delete(stream: name, expecting: expectation.asExpected)
        }
    }

    private func refused(
        _ expected: EventLogError.Code?, _ body: (EventLog) async throws -> Void
    ) async throws {
        do {
            try await body(self.log)
            try self.require(expected == nil, "done, expected \(expected as Any)")
        } catch let error as EventLogError {
            try self.require(error.code == expected, "\(error), expected \(expected as Any)")
        }
    }

    private mutating func reopen() async throws {
        self.note("reopen")
        await self.log.close()
        self.log = try await EventLog.open(at: self.path, configuration: self.configuration)
    }

    func compareStatistics() async throws {
        let statistics = try await self.log.statistics()
        let stored = self.model.entries.count { $0.isStored }
        try self.require(
            statistics.nextPosition.rawValue == self.model.end
                && statistics.firstPosition.rawValue == self.model.first
                && statistics.sealedEvents + statistics.activeEvents == stored,
            "\(statistics), expected \(stored) events in \(self.model.first)..<\(self.model.end)")
        try self.require(
            statistics.sealingProblem == nil, "sealing fails: \(statistics.sealingProblem ?? "")")
    }

    private mutating func compareEverything() async throws {
        self.note("compare everything")
        try await self.compareStatistics()
        try await self.compare(.all, self.model.read(.all))
        var backwards = EventQuery()
        backwards.order = .newestFirst
        try await self.compare(backwards, self.model.read(backwards))
        for stream in self.model.streams.values {
            try await self.compare(.stream(stream.name), self.model.read(.stream(stream.name)))
        }
    }
}
