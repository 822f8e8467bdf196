// What can be told without reading: for callers that must not block, and that keep what they have read.

extension LogEngine {
    /// What readers need, if nobody has committed since it was read from the head; nil if it has to be read
    /// anew, which blocks (``currentView()``).
    package func viewIfCurrent() throws(StorageError) -> ReadView? {
        let newest = try self.head.environment.newestMappedTransactionID()
        return self.shared.withLock { shared in
            let isCurrent = shared.view.transactionID >= newest && shared.active.end >= shared.view.end
            return isCurrent ? shared.view : nil
        }
    }

    /// Whether the stream may have events at or after `position`: false is certain.
    package func mayHaveEvents(ofStream stream: String, from position: UInt64) -> Bool {
        self.shared.withLock { $0.active.mayHaveEvents(ofStream: stream, from: position) }
    }
}
