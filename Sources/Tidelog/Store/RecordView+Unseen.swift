import TidelogStorage

extension RecordView {
    /// The lowest position that a projection, or a build of one, or a process manager has still to see; nil if there
    /// are none. Retention waits for them: what they missed would be missing from their state without a word.
    func lowestUnseen() throws(StorageError) -> UInt64? {
        var lowest: UInt64?
        try self.forEach(.projections, prefix: [0]) { key, bytes throws(StorageError) in
            let control = try ProjectionControl(stored: Array(bytes))
            let name = String(decoding: key, as: UTF8.self)
            for generation in [control.live, control.building] where generation > 0 {
                guard let progress = try self.progress(name, generation) else { continue }
                lowest = min(lowest ?? .max, progress.next)
            }
            return true
        }
        try self.forEach(.processes, prefix: [0]) { _, bytes throws(StorageError) in
            lowest = min(lowest ?? .max, try ProcessProgress(stored: Array(bytes)).next)
            return true
        }
        return lowest
    }
}
