/// How much of the log is kept; whatever is set must hold. Whole sealed segments are dropped, oldest first.
package struct RetentionLimits: Sendable, Equatable {
    /// Events older than this many nanoseconds need not be kept.
    package var maximumAge: Int64?
    /// Bytes on disk of sealed segments.
    package var maximumBytes: Int?
    /// How many of the newest events must stay.
    package var maximumEvents: Int?
    /// Nothing at or after this position is dropped: the slowest consumer still needs it.
    package var keepFrom: UInt64?

    package init() {}
}

extension LogEngine {
    /// Drops sealed segments beyond the limits; answers which. Space returns to the file system at once.
    package func retain(
        _ limits: RetentionLimits, now: Int64 = currentNanoseconds(), isRehearsal: Bool = false
    ) throws(StorageError) -> [SegmentInfo] {
        guard let writer = self.writer else { throw self.readOnlyError() }
        return try self.maintenance.exclusively(self) { () throws(StorageError) in
            let view = try self.currentView()
            let dropped = Self.beyond(limits, view, now: now)
            guard let last = dropped.last, !isRehearsal else { return dropped }
            try writer.perform { [self] transaction throws(StorageError) in
                var state = try self.head.databases.state(in: transaction.transaction)
                for info in dropped { try transaction.removeSegment(first: info.positions.lowerBound) }
                state.firstPosition = max(state.firstPosition, last.positions.upperBound)
                state.catalogueVersion += 1
                try transaction.setState(state)
            }
            try self.removeFiles(dropped)
            return dropped
        }
    }

    private static func beyond(_ limits: RetentionLimits, _ view: ReadView, now: Int64) -> [SegmentInfo] {
        var bytes = view.catalogue.segments.reduce(0) { $0 + $1.fileBytes }
        var events =
            view.catalogue.segments.reduce(0) { $0 + $1.count } + Int(view.end - view.state.sealedEnd)
        var dropped: [SegmentInfo] = []
        for info in view.catalogue.segments {
            if let keepFrom = limits.keepFrom, info.positions.upperBound > keepFrom { break }
            var mustGo = false
            if let age = limits.maximumAge, info.maxTimestamp < now &- age { mustGo = true }
            if let maximum = limits.maximumBytes, bytes > maximum { mustGo = true }
            if let maximum = limits.maximumEvents, events - info.count >= maximum { mustGo = true }
            guard mustGo else { break }
            dropped.append(info)
            bytes -= info.fileBytes
            events -= info.count
        }
        return dropped
    }

    /// Removes a file of this name that no catalogue names: what an attempt has left that failed, here or in
    /// another process, after the file was complete. To be called under the maintenance lock.
    func removeLeftover(firstPosition: UInt64, generation: UInt32) throws(StorageError) {
        let name = SegmentInfo.fileName(firstPosition: firstPosition, generation: generation)
        guard try !self.currentView().catalogue.segments.contains(where: { $0.fileName == name }) else {
            return
        }
        let path = self.directory + "/" + Head.Names.segments + "/" + name
        _ = try Files.unlink(path, ignoringMissing: true)
    }

    /// Unlinks files that the catalogue no longer knows; readers that have them open finish first.
    func removeFiles(_ infos: [SegmentInfo]) throws(StorageError) {
        let directory = self.directory + "/" + Head.Names.segments
        for info in infos {
            self.segments.remove(info.fileName)
            _ = try Files.unlink(directory + "/" + info.fileName, ignoringMissing: true)
        }
        if !infos.isEmpty { try Files.syncDirectory(directory) }
    }
}
