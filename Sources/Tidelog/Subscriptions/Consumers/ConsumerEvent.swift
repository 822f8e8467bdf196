/// Something that happened among a consumer's members.
public enum ConsumerEvent: Sendable {
    /// A process began to take part.
    case joined(session: UInt64)
    /// A process no longer takes part: it left, or it was found gone.
    case left(session: UInt64)
    /// Leases of a process ended, and its deliveries go to others.
    case tookOver(from: UInt64)
    /// The consumer was moved; what was in flight is not this member's any more.
    case moved(to: Position)
    /// Deliveries stop until the consumer is resumed.
    case paused
    /// Deliveries go on.
    case resumed
    /// The consumer delivers no more in this process.
    case ended(EventLogError)
}
