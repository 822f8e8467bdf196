import TidelogStorage

/// Gives the events of a queue one by one.
final class QueueReader: Sendable {
    private struct Place: Sendable {
        var events: [Event] = []
        var index = 0
        var count = 0
    }

    private let queue: EventQueue
    private let core: BusCore
    private let place = Lock(Place())

    init(_ queue: EventQueue, core: BusCore) {
        self.queue = queue
        self.core = core
    }

    func next() async -> Event? {
        if self.isOver { return nil }
        if let event = self.taken() { return event }
        return await withTaskCancellationHandler {
            let batch = await self.queue.next(after: self.place.withLock { $0.count })
            guard batch.count > 0 else { return nil }
            // They are kept where the task has been cancelled: another reader may go on.
            let events = (0..<batch.count).map { batch.slots[$0].event }
            self.place.withLock { $0 = Place(events: events, index: 0, count: events.count) }
            return self.isOver ? nil : self.taken()
        } onCancel: {
            self.queue.wakeConsumer()
        }
    }

    private var isOver: Bool { Task.isCancelled || self.queue.isCancelled }

    private func taken() -> Event? {
        let (event, index) = self.place.withLock { place -> (Event?, Int) in
            guard place.index < place.events.count else { return (nil, 0) }
            defer { place.index += 1 }
            return (place.events[place.index], place.index)
        }
        guard let event else { return nil }
        self.queue.beginAlone(index)
        self.core.count(1, .delivered)
        return event
    }
}
