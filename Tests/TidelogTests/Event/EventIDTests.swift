import Foundation
import Testing
import Tidelog

@Suite("Ids of events")
struct EventIDTests {
    @Test("keep a canonical UUID as such and any other text as it is")
    func texts() {
        let uuid = "0190a4b1-7c3d-7e2f-8a01-23456789abcd"
        #expect(EventID(uuid).uuid?.high == 0x0190_A4B1_7C3D_7E2F)
        #expect(EventID(uuid).uuid?.low == 0x8A01_2345_6789_ABCD)
        #expect(EventID(uuid).description == uuid)
        let others = [
            uuid.uppercased(), "0190A4b1-7c3d-7e2f-8a01-23456789abcd", "{\(uuid)}", uuid + " ", "", "order-1",
            uuid.replacingOccurrences(of: "-", with: ""), "g190a4b1-7c3d-7e2f-8a01-23456789abcd",
            "0190a4b107c3d-7e2f-8a01-23456789abcd", "0190a4b1-7c3d-7e2f-8a01-23456789abc/",
            "0190a4b1-7c3d-7e2f-8a01-23456789abc:", "0190a4b1-7c3d-7e2f-8a01-23456789abc`", "日本",
        ]
        for text in others {
            #expect(EventID(text).uuid == nil, "\(text)")
            #expect(EventID(text).description == text)
        }
        #expect(EventID("00000000-0000-0000-0000-000000000000").uuid?.high == 0)
    }

    @Test("are UUIDs of version 7 that tell when they were made")
    func version7() throws {
        let before = Timestamp.now()
        let id = EventID.generate()
        let uuid = try #require(id.uuid)
        #expect(uuid.high >> 12 & 0xF == 7)
        #expect(uuid.low >> 62 == 0b10)
        let time = try #require(id.timestamp)
        #expect(abs(time.nanosecondsSinceEpoch - before.nanosecondsSinceEpoch) < 5_000_000_000)
        #expect(EventID("order-1").timestamp == nil)
        #expect(EventID("6d8eb8ac-b8d2-45d1-9946-9d8c3228c244").timestamp == nil)
    }

    @Test("ascend within a thread and are unique among threads")
    func generate() async throws {
        let all = await withTaskGroup(of: [EventID].self) { group in
            for _ in 0..<4 { group.addTask { (0..<20_000).map { _ in EventID.generate() } } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for ids in all {
            let keys = ids.compactMap { $0.uuid?.high }
            #expect(keys.count == ids.count)
            #expect(zip(keys, keys.dropFirst()).allSatisfy { $0 < $1 })
        }
        // The clock alone tells them apart: its 60 bits are in the upper half.
        #expect(Set(all.joined().compactMap { $0.uuid?.high }).count == 80_000)
    }

    @Test("have random bits that all change")
    func randomness() {
        var ones: UInt64 = 0
        var zeros: UInt64 = 0
        for _ in 0..<1000 {
            guard let low = EventID.generate().uuid?.low else { continue }
            ones |= low
            zeros |= ~low
        }
        #expect(ones == 0xBFFF_FFFF_FFFF_FFFF)
        #expect(zeros == 0x7FFF_FFFF_FFFF_FFFF)
    }

    @Test("go to Foundation's UUID and back")
    func foundation() throws {
        let uuid = UUID()
        let id = EventID(uuid)
        #expect(id.description == uuid.uuidString.lowercased())
        #expect(id.foundationUUID == uuid)
        #expect(EventID(uuid.uuidString).foundationUUID == nil)
        #expect(try JSONDecoder().decode([EventID].self, from: JSONEncoder().encode([id])) == [id])
    }
}
