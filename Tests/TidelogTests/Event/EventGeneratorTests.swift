import Testing
import Tidelog
import TidelogTesting

@Suite("The generator of events")
struct EventGeneratorTests {
    static let count = 100_000

    private static func lines(_ events: [Event]) -> [UInt8] {
        let encoder = EventJSONEncoder(form: .plain)
        var text: [UInt8] = []
        for event in events {
            encoder.append(event, to: &text)
            text.append(UInt8(ascii: "\n"))
        }
        return text
    }

    /// FNV-1a, 64 bits.
    private static func digest(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    @Test("makes the events that it always made for a seed")
    func recorded() {
        var generator = EventGenerator(seed: 1)
        let digest = Self.digest(Self.lines(generator.events(1000)))
        #expect(digest == 7_127_919_284_563_856_895)
        var configuration = EventGenerator.Configuration()
        configuration.streams = 1_000_000
        var other = EventGenerator(seed: 2, configuration: configuration)
        #expect(Self.digest(Self.lines(other.events(1000))) != digest)
    }

    @Test("makes valid events of about 250 bytes, with the stated frequencies, streams, chains and metadata")
    func statistics() throws {
        var generator = EventGenerator(seed: 1)
        let events = generator.events(Self.count)
        for event in events { try event.validate() }
        let mean = Double(Self.lines(events).count - Self.count) / Double(Self.count)
        print("mean size in the plain form: \(mean) bytes")
        #expect(abs(mean - 255) < 1)

        let types = Dictionary(grouping: events, by: \.type).mapValues(\.count)
        #expect(types.count == 20)
        for (type, permille) in EventGenerator.types {
            let share = Double(types[type] ?? 0) / Double(Self.count) * 1000
            #expect(abs(share - Double(permille)) < 1 + Double(permille) / 20, "\(type)")
        }
        #expect(EventGenerator.types.map(\.permille).reduce(0, +) == 1000)
        #expect(EventGenerator.types.first { $0.name == EventGenerator.rareType }?.permille == 10)

        let streams = Set(events.map(\.stream))
        #expect(streams.count > 9990 && streams.count <= 10_000)
        #expect(streams.contains(EventGenerator.stream(9999)) && !streams.contains(nil))
        #expect(EventGenerator.stream(0) == "item-0" && EventGenerator.stream(1_234_567) == "item-1234567")

        #expect(Set(events.map(\.id)).count == Self.count)
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.timestamp < $1.timestamp })
        #expect(events.allSatisfy { $0.id.timestamp != nil })
        #expect(events[0].timestamp > EventGenerator.start)
        let users = events.count { $0.metadata.userID != nil }
        #expect(abs(users - Self.count / 2) < Self.count / 100)
    }

    @Test("makes chains of about four events, each caused by the one before it")
    func chains() throws {
        var generator = EventGenerator(seed: 3)
        let events = generator.events(Self.count)
        var chains: [EventID: [Event]] = [:]
        for event in events {
            guard let correlation = event.correlationID else {
                #expect(event.causationID == nil)
                continue
            }
            #expect(event.causationID == chains[correlation]?.last?.id)
            chains[correlation, default: []].append(event)
        }
        let inChains = chains.values.map(\.count).reduce(0, +)
        #expect(abs(inChains - Self.count / 5) < Self.count / 100)
        #expect(chains.values.allSatisfy { $0.count <= 7 })
        let mean = Double(inChains) / Double(chains.count)
        #expect(abs(mean - 4) < 0.2)
    }

    @Test("makes payloads that are JSON, and events that come back from both forms")
    func roundTrip() throws {
        var generator = EventGenerator(seed: 4)
        let events = generator.events(2000)
        for form in [EventForm.plain, .cloudEvents] {
            var decoder = EventJSONDecoder()
            for event in events {
                #expect(try decoder.decode(EventJSONEncoder(form: form).encode(event)) == event)
            }
        }
    }
}
