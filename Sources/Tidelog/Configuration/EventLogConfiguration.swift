import CoreMetrics
public import Logging
package import SystemPackage
package import TidelogStorage

/// How a log is opened. Every setting has a default that suits a single-node service.
public struct EventLogConfiguration: Sendable {
    /// What the log is opened for.
    public struct Mode: Hashable, Sendable {
        private let isReadOnlyMode: Bool

        /// Reading and appending. Several processes may do so at once; LMDB lets one commit at a time.
        public static var readWrite: Self { .init(isReadOnlyMode: false) }
        /// Reading only: every change is refused.
        public static var readOnly: Self { .init(isReadOnlyMode: true) }

        var isReadOnly: Bool { self.isReadOnlyMode }
    }

    /// What the log is opened for. Default: `.readWrite`.
    public var mode: Mode = .readWrite
    /// Whether a log is created where there is none. Default: `true`.
    public var createsIfMissing = true
    /// Uncompressed bytes of events after which the active segment is sealed. Default: 64 MiB.
    public var segmentSizeBytes = 64 << 20
    /// How long after its first event was appended the active segment is sealed, however small it is; small
    /// segments are merged by compaction. The time counts from when a process that has the log open for
    /// writing saw the event, and needs `sealsInBackground`. Default: nil, any age.
    public var maximumSegmentAge: Duration?
    /// Full segments that may wait to be sealed in the background: past that, `append` waits, and so the
    /// head's file and the memory for its index stay bounded however fast events come. Where sealing fails,
    /// appends go on up to `headMapSizeBytes`; see ``LogStatistics/sealingProblem``. Default: 4.
    public var maximumUnsealedSegments = 4
    /// Uncompressed bytes of a sealed block: larger blocks take less room and are replayed faster, smaller ones
    /// make reading a single event faster. Default: 16 KiB.
    public var blockSizeBytes = 16 << 10
    /// Bytes of the zstd dictionary that sealing trains on the log's own events; 0 for none. Default: 32 KiB.
    public var dictionarySizeBytes = 32 << 10
    /// Events that a segment must have for a dictionary to be trained on it; fewer for tests.
    package var dictionaryEvents = 1000
    /// zstd's level for what is appended; 1 and below keep appending fast. Default: 1.
    public var appendCompressionLevel = 1
    /// zstd's level for sealed blocks. Default: 1.
    public var sealedCompressionLevel = 1
    /// Whether full segments are sealed by a thread of the log's own. Default: `true`.
    public var sealsInBackground = true
    /// How many of the newest events are remembered by id, so that a repeated append is recognised; about
    /// 24 bytes of memory each. Default: 262,144.
    public var idempotenceWindow = 262_144
    /// Limits of single events and names. Default: see ``EventLimits``.
    public var limits = EventLimits()
    /// Bytes of one append, uncompressed. Default: 64 MiB.
    public var maximumBatchBytes = 64 << 20
    /// Bytes of appends that may wait for the disk; past that, `append` waits before it accepts more.
    /// Default: 64 MiB.
    public var maximumWaitingBytes = 64 << 20
    /// Address space for the head, which holds the events that are not sealed yet, and all records. It is
    /// reserved, not allocated. Default: 64 GiB.
    public var headMapSizeBytes = 64 << 30
    /// Room in the head's file that is kept free of appends, so that acknowledging, truncating and retention go on
    /// when the disk is full. Sealing writes a file of its own and needs room for that. Default: 4 MiB.
    public var reserveBytes = 4 << 20
    /// Sealed segments that are kept open. Default: 128.
    public var openSegments = 128
    /// Decoded frames that are kept for reading single events and streams, up to about 0.3 MB each.
    /// Default: 64.
    public var cachedFrames = 64
    /// Bytes of memory for sealed events of streams that were read as a whole, so that reading such a stream
    /// again decodes nothing; streams that take more than a sixteenth of it are not kept. 0 for none.
    /// Default: 8 MiB.
    public var streamCacheBytes = 8 << 20
    /// How often a waiting tail looks for other processes' appends. Default: 20 ms.
    public var tailPollInterval: Duration = .milliseconds(20)
    /// Whether a network file system is accepted. LMDB's locks and memory maps are not safe there.
    /// Default: `false`.
    public var allowsNetworkFileSystem = false
    /// Where the log says what cannot be thrown. Default: a logger labelled `tidelog`.
    public var logger = Logger(label: "tidelog")
    /// Metrics and spans of its consumers. Default: none.
    public var consumerTelemetry = ConsumerTelemetry()

    /// A configuration of defaults.
    public init() {}

    /// What the engine of the log in `directory` is opened with.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument`, naming the setting and its bounds.
    package func engineOptions(for directory: FilePath) throws(EventLogError) -> EngineOptions {
        try Self.require("segmentSizeBytes", self.segmentSizeBytes, 4096...(4 << 30))
        try Self.require("maximumUnsealedSegments", self.maximumUnsealedSegments, 1...10_000)
        if let age = self.maximumSegmentAge, age <= .zero {
            throw EventLogError(
                .invalidArgument, "the setting maximumSegmentAge is \(age); give a time above zero, or nil")
        }
        try Self.require("blockSizeBytes", self.blockSizeBytes, 1024...(8 << 20))
        try Self.require("dictionarySizeBytes", self.dictionarySizeBytes, 0...(1 << 20))
        try Self.require("appendCompressionLevel", self.appendCompressionLevel, -7...19)
        try Self.require("sealedCompressionLevel", self.sealedCompressionLevel, -7...19)
        try Self.require("idempotenceWindow", self.idempotenceWindow, 1...100_000_000)
        try Self.require("maximumBatchBytes", self.maximumBatchBytes, 1024...(64 << 20))
        try Self.require("maximumWaitingBytes", self.maximumWaitingBytes, 1024...(1 << 40))
        try Self.require("headMapSizeBytes", self.headMapSizeBytes, (1 << 20)...(1 << 46))
        try Self.require("reserveBytes", self.reserveBytes, 0...(1 << 40))
        try Self.require("openSegments", self.openSegments, 1...100_000)
        try Self.require("cachedFrames", self.cachedFrames, 1...1_000_000)
        try Self.require("streamCacheBytes", self.streamCacheBytes, 0...(1 << 40))
        var options = EngineOptions()
        options.isReadOnly = self.mode.isReadOnly
        options.createsIfMissing = self.createsIfMissing && !self.mode.isReadOnly
        options.segmentBytes = self.segmentSizeBytes
        options.sealAge = self.maximumSegmentAge
        options.maximumUnsealedSegments = self.maximumUnsealedSegments
        options.blockBytes = self.blockSizeBytes
        options.dictionaryBytes = self.dictionarySizeBytes
        options.dictionaryEvents = self.dictionaryEvents
        options.headLevel = Int32(self.appendCompressionLevel)
        options.sealedLevel = Int32(self.sealedCompressionLevel)
        options.sealsInBackground = self.sealsInBackground
        options.idempotenceWindow = self.idempotenceWindow
        options.maximumEventBytes = self.limits.maximumEventBytes
        options.maximumBatchBytes = self.maximumBatchBytes
        options.maximumWaitingBytes = self.maximumWaitingBytes
        options.mapSizeBytes = self.headMapSizeBytes
        options.reserveBytes = self.reserveBytes
        options.openSegments = self.openSegments
        options.cachedFrames = self.cachedFrames
        options.streamCacheBytes = self.streamCacheBytes
        options.pollInterval = self.tailPollInterval
        options.allowsNetworkFileSystem = self.allowsNetworkFileSystem
        options.hasSameMetadata = {
            EventMetadata(stored: $0).withoutTrace == EventMetadata(stored: $1).withoutTrace
        }
        if let factory = self.consumerTelemetry.metrics {
            let age = Gauge(
                label: TelemetryNames.oldestReaderAge,
                dimensions: [(TelemetryNames.logDimension, directory.string)], factory: factory)
            options.onReaderCheck = { age.record($0 / .seconds(1)) }
        }
        return options
    }

    private static func require(
        _ name: String, _ value: Int, _ bounds: ClosedRange<Int>
    ) throws(EventLogError) {
        guard !bounds.contains(value) else { return }
        throw EventLogError(
            .invalidArgument,
            "the setting \(name) is \(value); it must lie between \(bounds.lowerBound) and "
                + "\(bounds.upperBound)")
    }
}
