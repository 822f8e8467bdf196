// Where the events of a queue lie: slots that are always initialised, in a ring.
import CTidelogThread
import TidelogStorage

extension EventQueue {
    /// What slots hold that hold no event.
    static let nothing = Event(record: EventRecord(id: .uuid(0, 0), type: "", timestamp: 0))

    /// A place for an event. It cannot be copied, so that the compiler lends the event from it instead of
    /// counting its references.
    struct Slot: ~Copyable {
        var event: Event
    }

    /// Events that the consumer has taken; valid until it takes more.
    struct Batch {
        let slots: UnsafeMutablePointer<Slot>
        let count: Int
    }

    /// A ring of slots.
    struct Buffer {
        var slots: UnsafeMutablePointer<Slot>
        var capacity: Int
        /// The first event, and how many there are; they wrap around the end.
        var head = 0
        var count = 0
        /// How many slots may keep something of an earlier event.
        var used = 0

        init(capacity: Int) {
            self.slots = .allocate(capacity: capacity)
            for index in 0..<capacity { (self.slots + index).initialize(to: Slot(event: EventQueue.nothing)) }
            self.capacity = capacity
        }

        @inline(__always)
        mutating func append(_ event: Event) {
            var slot = self.head + self.count
            if slot >= self.capacity { slot -= self.capacity }
            self.fetch(slot + 4)
            self.slots[slot].event.become(event)
            self.count += 1
            if slot >= self.used { self.used = slot + 1 }
        }

        /// Has the lines of a slot fetched, which the consumer read last: writing would wait for each of them.
        @inline(__always)
        private func fetch(_ slot: Int) {
            guard slot < self.capacity else { return }
            let start = UnsafeRawPointer(self.slots + slot)
            for offset in stride(from: 0, to: MemoryLayout<Slot>.stride, by: 64) {
                tidelog_prefetch_for_writing(start + offset)
            }
        }

        mutating func grow(to capacity: Int) {
            var larger = Buffer(capacity: capacity)
            for index in 0..<self.count {
                swap(&larger.slots[index], &self.slots[(self.head + index) % self.capacity])
            }
            larger.count = self.count
            larger.used = self.count
            self.free()
            self = larger
        }

        mutating func forget() {
            let nothing = EventQueue.nothing
            for index in 0..<self.used { self.slots[index].event.become(nothing) }
            self.used = 0
        }

        func free() {
            self.slots.deinitialize(count: self.capacity)
            self.slots.deallocate()
        }
    }
}
