// Repairing a log: keeping all that is intact, and saying exactly what is not.
//
// A new log is written beside the damaged one: segments whose digest holds are linked or copied as they are;
// of damaged ones the intact blocks go into new segments, and so do the intact frames of the head, so that
// what is missing between them stays missing without breaking the head's rule that its events have no gaps.
// The new head is empty of events and has everything else that could be saved. The log keeps its id, its
// incarnation is one higher, and no position is ever given again: where it is not known how far the lost
// events reached, the next position lies behind all that can have been.
//
// The damaged log is only read, and at the end renamed: a repair that is interrupted has changed nothing.
import Glibc

/// One repair.
package final class Repair {
    private let directory: String
    private let options: RepairOptions
    private var outcome = RepairOutcome()

    /// Repairs the log in `directory`.
    ///
    /// - Throws: ``StorageError`` with code `notFound` if there is no log, `locked` if anybody has it open,
    ///   `unsupportedFormat` for one of a newer version, `alreadyExists` if the target is there, `diskFull`.
    package static func run(
        directory: String, options: RepairOptions
    ) throws(StorageError) -> RepairOutcome {
        var directory = directory
        while directory.utf8.count > 1, directory.hasSuffix("/") { directory.removeLast() }
        try Verification.requireLog(directory)
        let others = try RepairGuard(directory)
        let repair = Repair(directory, options)
        do throws(StorageError) {
            try repair.run()
            others.release()
            return repair.outcome
        } catch {
            others.release()
            throw error
        }
    }

    private init(_ directory: String, _ options: RepairOptions) {
        self.directory = directory
        self.options = options
    }

    private func run() throws(StorageError) {
        let found = try self.verify(self.directory)
        self.outcome.findings = found.findings
        if found.isClean, self.options.target == nil {
            self.outcome.directory = self.directory
            self.outcome.state = found.state
            self.outcome.nextPosition = found.end
            self.outcome.segmentsKept = found.segments.count
            self.outcome.eventsKept =
                found.segments.reduce(0) { $0 + $1.count } + Int(found.end - (found.state?.sealedEnd ?? 0))
            return
        }
        let stamp = currentNanoseconds() / 1_000_000_000
        let work = self.options.target ?? "\(self.directory).repaired-\(stamp)"
        let isNew = try Files.createDirectory(work)
        let strangers = isNew ? [] : try Files.list(work)
        guard strangers.isEmpty else {
            throw StorageError(
                .alreadyExists, "a log is repaired into a missing or empty directory", path: work)
        }
        do throws(StorageError) {
            try self.write(found, to: work)
        } catch {
            LogDirectory.remove(work)
            throw error
        }
        self.outcome.isChanged = true
        self.outcome.directory = work
        if self.options.target == nil { try self.exchange(work, stamp: stamp) }
    }

    private func verify(_ directory: String) throws(StorageError) -> VerificationOutcome {
        var options = VerificationOptions()
        options.isDeep = true
        options.place = self.options.place
        options.progress = self.options.progress
        return try Verification.run(directory: directory, options: options, isExclusive: true)
    }

    /// Puts the repaired log in the damaged one's place.
    private func exchange(_ work: String, stamp: Int64) throws(StorageError) {
        let damaged = "\(self.directory).damaged-\(stamp)"
        guard try !Files.exists(damaged) else {
            throw StorageError(
                .alreadyExists,
                "the repaired log is in \(work): something stands where the damaged one would go",
                path: damaged)
        }
        if try SystemCalls.exchange(work, self.directory) {
            try Files.rename(work, to: damaged)
        } else {
            // The file system cannot do it in one step.
            try Files.rename(self.directory, to: damaged)
            try Files.rename(work, to: self.directory)
        }
        try Files.syncDirectory(Files.directory(of: self.directory))
        self.outcome.directory = self.directory
        self.outcome.damagedDirectory = damaged
    }

    // MARK: Writing the new log

    private func write(_ found: VerificationOutcome, to work: String) throws(StorageError) {
        try Files.createDirectory(work + "/" + Head.Names.segments)
        let head = try NewHead(work)
        defer { head.close() }
        let salvage = try self.salvage(into: head)
        let writer = RepairWriter(
            directory: self.directory, work: work, logID: try self.logID(salvage),
            progress: self.options.progress)
        let choice = SegmentChoice(
            directory: self.directory, logID: salvage.state?.logID ?? salvage.looseState?.logID,
            badFiles: Set(found.findings.filter { $0.kind == .segmentContents }.compactMap(\.file)),
            progress: writer.checked)
        let candidates =
            salvage.isWhole("segments")
            ? try choice.named(salvage.segments.filter { $0.rank == 0 }.map(\.info))
            : try choice.pieced(salvage.segments)
        for candidate in candidates { try writer.take(candidate) }

        let sealedEnd = max(salvage.state?.sealedEnd ?? 0, candidates.last?.positions.upperBound ?? 0)
        let firstPosition =
            salvage.state?.firstPosition ?? salvage.looseState?.firstPosition
            ?? candidates.first?.positions.lowerBound ?? 0
        if !salvage.isWhole("segments") {
            let covered = PositionRanges(candidates.map(\.positions))
            for gap in covered.gaps(in: min(firstPosition, sealedEnd)..<sealedEnd).ranges {
                writer.lose(gap, file: Head.Names.segments, isCertain: false)
            }
        }
        let end = try writer.takeFrames(salvage, from: sealedEnd)
        for stream in writer.streams { try head.add(stream: stream.key.text, stream.value) }
        try self.completeStreams(head, salvage, writer)

        var state = salvage.state ?? salvage.looseState ?? .new(createdAt: currentNanoseconds())
        if salvage.state == nil, salvage.looseState == nil {
            state.logID = writer.logID
            // Higher than any copy of the log can have come to by being restored.
            state.incarnation = UInt64(currentNanoseconds() / 1_000_000_000)
            self.outcome.lostRecords.append(
                "the log's own state, with its incarnation and the time of its creation")
        }
        state.incarnation += 1
        state.firstPosition = min(firstPosition, end)
        state.sealedEnd = end
        state.catalogueVersion += 1
        state.hiddenVersion += 1
        state.dictionaryID = 0
        try Files.syncDirectory(work + "/" + Head.Names.segments)
        try head.finish(state, writer.infos, lost: PositionRanges(writer.lost.map(\.positions)))
        try Files.syncDirectory(Files.directory(of: work))
        let check = try self.verify(work)
        if let problem = check.findings.first(where: { !$0.isNote }) {
            throw StorageError(
                .corrupted,
                "the repaired log is not sound (\(problem.message)); the damaged one was left as it is",
                path: self.directory)
        }
        self.describe(state, writer, end: end)
    }

    private func salvage(into head: NewHead) throws(StorageError) -> HeadSalvage {
        let salvage = HeadSalvage { database, key, value, rank throws(StorageError) in
            try head.add(database, key: key, value: value, rank: rank)
        }
        let inspection = HeadInspection(
            directory: self.directory, place: self.options.place, isExclusive: true)
        let isDone = try inspection.run(.salvage) { item throws(StorageError) in try salvage.take(item) }
        if !isDone {
            _ = try inspection.run(.scan) { item throws(StorageError) in try salvage.take(item) }
        }
        try head.flush()
        return salvage
    }

    private func logID(_ salvage: HeadSalvage) throws(StorageError) -> (UInt64, UInt64) {
        if let state = salvage.state ?? salvage.looseState { return state.logID }
        let segments = self.directory + "/" + Head.Names.segments
        if try Files.kind(segments) == .directory {
            for name in try Files.list(segments) where name.hasSuffix(".mdb") {
                let path = segments + "/" + name
                guard try Files.kind(path) == .file else { continue }
                let descriptor = try Files.openReadOnlyNoFollow(path)
                let remains = try SegmentRemains(descriptor: descriptor.number, path: path, info: nil)
                descriptor.close()
                if let meta = remains.meta { return meta.logID }
            }
        }
        return HeadState.new(createdAt: 0).logID
    }

    /// Makes up for what is lost of streams' heads and of other records, as far as that follows from the rest.
    private func completeStreams(
        _ head: NewHead, _ salvage: HeadSalvage, _ writer: RepairWriter
    ) throws(StorageError) {
        let hasBadStreams = self.outcome.findings.contains { $0.kind == .stream }
        if !salvage.isWhole("streams") || hasBadStreams {
            try writer.forEachStreamHead { name, known throws(StorageError) in
                try head.add(stream: name, known)
            }
            if !salvage.isWhole("streams") {
                self.outcome.lostRecords.append(
                    self.text("streams", salvage)
                        + ", which were made anew from the events; whether one of them was truncated or deleted, "
                        + "and how far one reached whose last events are gone, may be lost")
            }
        }
        if !salvage.isWhole("records") {
            try head.restoreHiddenStreams()
            self.outcome.lostRecords.append(
                self.text("records of consumers, projections, snapshots and settings", salvage, "records"))
        }
        try head.flush()
    }

    private func text(_ what: String, _ salvage: HeadSalvage, _ database: String? = nil) -> String {
        guard let status = salvage.databases[database ?? what], status.stated > 0 else {
            return "an unknown number of \(what)"
        }
        return "\(status.stated - min(status.stated, status.intact)) of \(status.stated) \(what)"
    }

    private func describe(_ state: HeadState, _ writer: RepairWriter, end: UInt64) {
        self.outcome.state = state
        self.outcome.nextPosition = end
        self.outcome.lost = writer.lost.sorted { $0.positions.lowerBound < $1.positions.lowerBound }
        self.outcome.lostStreams = writer.lostStreams.map(\.text).sorted()
        self.outcome.segmentsKept = writer.kept
        self.outcome.segmentsRewritten = writer.rewritten
        self.outcome.segmentsDropped = writer.dropped
        self.outcome.eventsKept = writer.infos.reduce(0) { $0 + $1.count }
    }
}
