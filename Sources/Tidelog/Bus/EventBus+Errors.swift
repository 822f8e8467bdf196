import TidelogStorage

extension EventBus {
    /// Publishes an event of type `error` that tells of `error`.
    ///
    /// Its payload is a JSON object with `message` (the error's own description) and `kind` (its Swift type).
    /// A description may hold what is not for everyone: see to it that yours does not.
    ///
    /// - Parameters:
    ///   - error: What went wrong.
    ///   - source: Where; becomes the event's source.
    ///   - metadata: What else is to be said, such as the request.
    /// - Returns: The event that was published.
    @discardableResult
    public func publishError(
        _ error: any Error, source: String? = nil, metadata: EventMetadata = .init()
    ) async throws(EventLogError) -> Event {
        let payload: EventMetadata = [
            "kind": .string(String(reflecting: type(of: error))), "message": .string("\(error)"),
        ]
        let event = Event(
            .error,
            payload: .init(bytes: payload.json, contentType: EventPayload.jsonContentType),
            metadata: metadata, source: source)
        try await self.publish(event)
        return event
    }

    /// Publishes an event that must not fail: where it cannot be published, the process ends with a message
    /// that says why.
    ///
    /// For events without which going on would be wrong, such as a record of an audit.
    public func publishOrFail(_ event: Event) async {
        do throws(EventLogError) {
            try await self.publish(event)
        } catch {
            // Not `preconditionFailure`, which says nothing in a release build.
            fatalError(
                "The event \(event) must be published, and it was not: \(error). The process ends here "
                    + "because it was published with publishOrFail.")
        }
    }
}
