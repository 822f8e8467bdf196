import Testing

@testable import TidelogStorage

@Suite("The table of streams")
struct StreamTableTests {
    @Test("tells names of every length apart, also where only the last byte differs or zeros follow")
    func names() {
        var names = ["a", "a\u{0}", "e\u{301}", "é"]
        for count in 1...255 {
            names.append(String(repeating: "n", count: count))
            names.append(String(repeating: "n", count: count - 1) + "m")
        }
        names = Array(Set(names.map { ExactText($0) })).map(\.text)
        var table = StreamTable()
        for (index, name) in names.enumerated() {
            #expect(table.find(name) == nil)
            #expect(table.findOrInsert(name, nextRevision: UInt64(index)) == index)
            #expect(table.findOrInsert(name, nextRevision: 99) == index)
        }
        for (index, name) in names.enumerated() {
            #expect(table.find(name) == index)
            #expect(table.name(index).isExactly(name))
            #expect(table.entries[index].nextRevision == UInt64(index))
        }
        #expect(table.find("unknown") == nil)
        #expect(table.find(String(repeating: "n", count: 254) + "x") == nil)
    }
}
