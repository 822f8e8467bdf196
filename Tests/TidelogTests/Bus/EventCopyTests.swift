import Testing
import TidelogTesting

@testable import Tidelog

@Suite("An event that takes another one's place")
struct EventCopyTests {
    @Test("is that event, whatever lay there")
    func becoming() {
        let seed = TestSeed.draw(for: "random events")
        var random = RandomEvents(seed: seed)
        let encoder = EventJSONEncoder(form: .plain)
        var place = Event(type: "a")
        for number in 0..<1000 {
            let event = random.event()
            // It comes, comes again, and is followed by one that has nearly all in common with it.
            for next in [event, event, event.withSource("source \(number)"), event] {
                place.become(next)
                #expect(place == next, "seed \(seed), event \(number)")
                #expect(encoder.encode(place) == encoder.encode(next), "seed \(seed), event \(number)")
            }
        }
        // As many as `become` has lines.
        #expect(Mirror(reflecting: place.record).children.count == 12)
    }

    @Test("holds what it needs, and lets go of the rest")
    func releasing() {
        var bytes = [UInt8](repeating: 1, count: 4096)
        let before = bytes.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        var place = Event(type: "a")
        for type in ["a", "a", "b"] { place.become(Event(type: type, bytes: bytes[...])) }
        let isThere = place.payload.bytes == bytes[...]
        #expect(isThere)
        place.become(Event(type: "c"))
        // Nobody else has them any more, so they need not be copied to be changed.
        bytes[0] = 2
        let after = bytes.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        #expect(before == after)
    }
}
