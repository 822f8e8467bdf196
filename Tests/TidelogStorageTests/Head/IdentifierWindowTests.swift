import Testing

@testable import TidelogStorage

@Suite("The window of ids")
struct IdentifierWindowTests {
    @Test(
        "finds each of the last ids at its place, whatever their hashes, and forgets what is long ago",
        arguments: [1, 2, 100, 512, 1500])
    func places(minimum: Int) {
        var random = SeededRandom(UInt64(minimum))
        var window = IdentifierWindow(minimum: minimum, start: 7)
        var hashes: [UInt64] = []
        var inserted: [(hash: UInt64, position: UInt64)] = []
        var position: UInt64 = 7
        while inserted.count < minimum * 5 + 50 {
            // Few distinct low bits, some equal hashes, and 0.
            hashes = (0..<Int(random.next() % 90)).map { _ in
                random.next() % 5 == 0 ? random.next() % 40 : random.next() << 44
            }
            if random.next() % 2 == 0 {
                window.insert(hashes, first: position)
            } else {
                for (index, hash) in hashes.enumerated() {
                    window.insert(hash, position: position + UInt64(index))
                }
            }
            for (index, hash) in hashes.enumerated() { inserted.append((hash, position + UInt64(index))) }
            position += UInt64(hashes.count)
            #expect(window.end == position)
        }
        for (hash, position) in inserted.suffix(minimum) {
            #expect(window.candidates(hash).contains(position))
            #expect(window.contains(hash))
            #expect(window.containsAny([hash]))
        }
        for (hash, position) in inserted.dropLast(2 * minimum) {
            #expect(!window.candidates(hash).contains(position))
        }
        for (hash, entries) in Dictionary(grouping: inserted, by: \.hash) {
            #expect(Set(window.candidates(hash)).isSubset(of: entries.map(\.position)))
        }
        #expect(!window.containsAny([]))
        #expect(!window.contains(41))
    }
}
