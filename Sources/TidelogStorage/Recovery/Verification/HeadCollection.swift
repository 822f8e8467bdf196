/// What verification keeps of a walk through the head.
final class HeadCollection {
    private(set) var findings: [RecoveryFinding] = []
    private(set) var state: HeadState?
    private(set) var segments: [SegmentInfo] = []
    private(set) var end: UInt64 = 0

    func take(_ item: HeadItem) {
        switch item {
        case .finding(let finding): self.findings.append(finding)
        case .state(let bytes): self.state = try? HeadState.decode(bytes)
        case .segment(let bytes):
            if let info = try? SegmentInfo.decode(bytes) { self.segments.append(info) }
        case .frames(let end): self.end = max(self.end, end)
        default: break
        }
    }
}

/// Compares streams' heads with what the segments hold.
final class StreamComparison {
    private var ledger: StreamLedger
    private var problems: [String] = []

    init(_ ledger: StreamLedger) {
        self.ledger = ledger
    }

    func take(_ item: HeadItem) {
        guard case .value("streams", let key, let value) = item, let head = try? StreamHead.decode(value)
        else {
            return
        }
        let name = String(decoding: key, as: UTF8.self)
        let hash = StreamLedger.hash(name)
        guard self.ledger.follows(hash), let known = self.ledger.remove(hash) else { return }
        guard head.nextRevision < known.next || head.lastPosition < known.lastPosition else { return }
        if self.problems.count < 1000 {
            self.problems.append(
                "the head of stream '\(name)' ends at revision \(head.nextRevision), before the stream's last "
                    + "sealed event with revision \(known.next - 1)")
        }
    }

    func finish(end: UInt64) -> [RecoveryFinding] {
        let heads = self.problems.map { RecoveryFinding(.stream, $0, file: Head.Names.head) }
        let missing = self.ledger.remaining.prefix(1000).map { entry in
            RecoveryFinding(
                .stream, "the head of the stream of this event is missing", file: Head.Names.head,
                positions: entry.lastPosition..<entry.lastPosition + 1)
        }
        return heads + missing
    }
}
