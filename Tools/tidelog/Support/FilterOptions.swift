import ArgumentParser
import Tidelog

/// Which events a command wants, wherever they are in the log.
struct FilterOptions: ParsableArguments {
    @Option(
        name: .customLong("stream"),
        help: .init("Events of this stream; given several times: of any of them.", valueName: "name"))
    var streams: [String] = []

    @Option(help: .init("Events of streams whose names begin so.", valueName: "prefix"))
    var streamPrefix: String?

    @Option(
        name: .customLong("type"),
        help: .init(
            "Events whose type matches: `*` stands for one token, a trailing `>` for one or more; given "
                + "several times: any of them.", valueName: "pattern"),
        transform: Parse.pattern)
    var types: [TypePattern] = []

    @Option(
        help: .init("Events that happened at this time or later: RFC 3339, or 15m, 2h, 7d ago.", valueName: "time"),
        transform: Parse.timestamp)
    var since: Timestamp?

    @Option(help: .init("Events that happened before this time.", valueName: "time"), transform: Parse.timestamp)
    var until: Timestamp?

    @Option(help: .init("Events with this correlation id.", valueName: "id"))
    var correlation: EventID?

    @Option(help: .init("Events with this causation id.", valueName: "id"))
    var causation: EventID?

    @Option(help: .init("Events from this source.", valueName: "source"))
    var source: String?

    @Option(help: .init("Events of this tenant, as their metadata name it.", valueName: "tenant"))
    var tenant: String?

    @Option(help: .init("Events with this revision in their stream or a higher one.", valueName: "n"))
    var fromRevision: Revision?

    @Option(help: .init("Events with a lower revision than this.", valueName: "n"))
    var toRevision: Revision?

    /// The query that they make.
    var query: EventQuery {
        var query = EventQuery()
        query.streams = self.streams
        query.streamPrefix = self.streamPrefix
        query.types = self.types
        query.since = self.since
        query.until = self.until
        query.correlationID = self.correlation
        query.causationID = self.causation
        query.source = self.source
        query.tenantID = self.tenant
        query.fromRevision = self.fromRevision
        query.toRevision = self.toRevision
        return query
    }
}

/// Which part of the log a command wants.
struct RangeOptions: ParsableArguments {
    @Option(help: .init("Begin at this position.", valueName: "n"))
    var from: Position?

    @Option(help: .init("Stop before this position.", valueName: "n"))
    var to: Position?

    @Option(
        help: .init("At most so many events.", valueName: "n"), transform: Parse.atLeast(0))
    var limit: Int?

    @Flag(help: "Newest first.")
    var backwards = false

    /// Narrows the query.
    func apply(to query: inout EventQuery) {
        query.from = self.from
        query.to = self.to
        query.limit = self.limit
        query.order = self.backwards ? .newestFirst : .oldestFirst
    }
}
