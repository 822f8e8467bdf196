/// A type of event as a constant: the ones that many apps share are here, and an app adds its own.
///
/// ```swift
/// extension EventType {
///     static let orderPlaced: EventType = "order.placed"
/// }
/// try await bus.publish(Event(.orderPlaced, payload: .init(json: #"{"total":1299}"#)))
/// try await bus.subscribe(TypePattern(.orderPlaced)) { event in … }
/// ```
public struct EventType: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral,
    CustomStringConvertible
{
    /// The type as events have it.
    public let rawValue: String

    /// The type of this name.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The type written as a literal.
    public init(stringLiteral value: String) { self.rawValue = value }

    /// The type as events have it.
    public var description: String { self.rawValue }
}

extension EventType {
    /// A user was created.
    public static let userCreated: EventType = "user.created"
    /// A user was changed.
    public static let userUpdated: EventType = "user.updated"
    /// A user was deleted.
    public static let userDeleted: EventType = "user.deleted"
    /// A user proved who they are.
    public static let userAuthenticated: EventType = "user.authenticated"

    /// Emissions were calculated.
    public static let emissionsCalculated: EventType = "emissions.calculated"
    /// Calculated emissions were changed.
    public static let emissionsUpdated: EventType = "emissions.updated"
    /// A factor that emissions are calculated with was changed.
    public static let emissionsFactorUpdated: EventType = "emissions.factor.updated"

    /// Data was taken in.
    public static let ingestionCompleted: EventType = "ingestion.completed"
    /// Data could not be taken in.
    public static let ingestionError: EventType = "ingestion.error"

    /// A report on compliance was made.
    public static let complianceReportGenerated: EventType = "compliance.report.generated"
    /// A report on compliance was handed in.
    public static let complianceReportSubmitted: EventType = "compliance.report.submitted"

    /// A subscription that is paid for was created.
    public static let billingSubscriptionCreated: EventType = "billing.subscription.created"
    /// A subscription that is paid for was changed.
    public static let billingSubscriptionUpdated: EventType = "billing.subscription.updated"
    /// A payment came in.
    public static let billingPaymentReceived: EventType = "billing.payment.received"
    /// A payment failed.
    public static let billingPaymentFailed: EventType = "billing.payment.failed"

    /// The system's mode of working was changed.
    public static let systemModeChanged: EventType = "system.mode.changed"
    /// The system is not well.
    public static let systemHealthError: EventType = "system.health.error"

    /// Something went wrong; what ``EventBus/publishError(_:source:metadata:)`` publishes.
    public static let error: EventType = "error"

    /// All the types above.
    public static let standard: [EventType] = [
        .userCreated, .userUpdated, .userDeleted, .userAuthenticated, .emissionsCalculated,
        .emissionsUpdated, .emissionsFactorUpdated, .ingestionCompleted, .ingestionError,
        .complianceReportGenerated, .complianceReportSubmitted, .billingSubscriptionCreated,
        .billingSubscriptionUpdated, .billingPaymentReceived, .billingPaymentFailed, .systemModeChanged,
        .systemHealthError, .error,
    ]
}

extension Event {
    /// An event of this type; the rest is as in the initializer that takes a text for it.
    public init(
        _ type: EventType, id: EventID = .generate(), stream: String? = nil, payload: EventPayload = .empty,
        metadata: EventMetadata = .init(), timestamp: Timestamp = .now(), source: String? = nil,
        correlationID: EventID? = nil, causationID: EventID? = nil, schemaVersion: UInt32 = 1
    ) {
        self.init(
            id: id, type: type.rawValue, stream: stream, payload: payload, metadata: metadata,
            timestamp: timestamp, source: source, correlationID: correlationID, causationID: causationID,
            schemaVersion: schemaVersion)
    }

    /// Whether the event is of this type.
    public func isOf(_ type: EventType) -> Bool { self.type == type.rawValue }
}

extension TypePattern {
    /// The pattern that matches this type alone.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` if the type's name cannot be a pattern.
    public init(_ type: EventType) throws(EventLogError) { try self.init(type.rawValue) }
}
