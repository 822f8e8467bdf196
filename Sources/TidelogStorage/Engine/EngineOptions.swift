/// How a log is opened; the layer above documents each as part of its public configuration.
package struct EngineOptions: Sendable {
    package var isReadOnly = false
    package var createsIfMissing = true
    /// The head's address space; nothing is allocated until it is used.
    package var mapSizeBytes = 64 << 30
    /// Uncompressed bytes after which the active segment is sealed.
    package var segmentBytes = 64 << 20
    /// How old the active segment's first event may get before it is sealed; nil for any age.
    package var sealAge: Duration?
    /// Full segments that may wait to be sealed in the background before appends have to wait for that.
    package var maximumUnsealedSegments = 4
    /// How long appends wait for sealing that does not get on.
    package var sealingPatience: Duration = .seconds(10)
    /// Uncompressed bytes of a sealed block.
    package var blockBytes = 16 << 10
    /// zstd's level for frames in the head.
    package var headLevel: Int32 = 1
    /// zstd's level for sealed blocks.
    package var sealedLevel: Int32 = 1
    /// Bytes of the dictionary that sealing trains; 0 for none.
    package var dictionaryBytes = 32 << 10
    /// Events that a segment must have for a dictionary to be worth its bytes.
    package var dictionaryEvents = 1000
    /// How many of the last events are remembered by id.
    package var idempotenceWindow = 262_144
    package var maximumEventBytes = 16 << 20
    package var maximumBatchBytes = 64 << 20
    /// Bytes of appends that may wait for the writer before further ones have to wait to be accepted.
    package var maximumWaitingBytes = 64 << 20
    /// Bytes of appends that share a transaction; a larger append has one of its own.
    package var transactionBytes = 32 << 20
    /// Room in the head's file that is kept for changes of the head alone when appends are refused.
    package var reserveBytes = 4 << 20
    /// Sealed segments that are kept open.
    package var openSegments = 128
    /// Decoded frames that are kept for reads of single events and streams.
    package var cachedFrames = 64
    /// Bytes of sealed events that are kept of streams that were read as a whole; 0 for none.
    package var streamCacheBytes = 8 << 20
    package var sealsInBackground = true
    /// How often a waiting tail looks for other processes' appends.
    package var pollInterval: Duration = .milliseconds(20)
    /// How often a log that is written to looks for readers that died, whose pages it could use again.
    package var readerCheckInterval: Duration = .seconds(5)
    /// Called after each of these looks, with the age of the oldest reader: see ``Head/oldestReaderAge()``.
    package var onReaderCheck: (@Sendable (Duration) -> Void)?
    package var allowsNetworkFileSystem = false
    package var seam: CommitSeam = .durable
    /// Whether metadata that differ in their bytes may be those of one event, offered once more.
    package var hasSameMetadata: @Sendable (ArraySlice<UInt8>, ArraySlice<UInt8>) -> Bool = { $0 == $1 }
    /// Called between a look at the index of the active segment and the read of the head that belongs to it; for
    /// tests.
    package var betweenReads: (@Sendable () -> Void)?

    package init() {}
}
