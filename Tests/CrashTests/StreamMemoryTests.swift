import Foundation
import Testing
import TidelogTesting
import torture

@Suite("The memory of a log with many streams")
struct StreamMemoryTests {
    @Test(
        "is that of one with few: ten times the streams take no more, neither while appending nor once opened",
        .disabled(if: Sanitizer.isOn, "a sanitizer has memory of its own"))
    func bounded() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let (few, many) = (15_000, 150_000)
        let child = try Child(
            ["spread", directory.path.string + "/log.tidelog", "--few", "\(few)", "--events", "\(many)"],
            output: directory.path.string + "/said",
            // What is freed goes back to the system, so that it is not counted.
            environment: [
                "MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536",
            ])
        #expect(child.wait() == 0, "\(child.lines())")
        let figures = child.lines().filter { $0.hasPrefix("MEMORY") }.map { line in
            line.split(separator: " ").dropFirst().map { Int($0) ?? .max }
        }
        try #require(figures.count == 2 && figures.allSatisfy { $0.count == 3 })
        print("anonymous memory: \(figures.map { "\($0[0]) streams \($0[1] >> 10), \($0[2] >> 10) KiB" })")
        // A table of the streams would take at least the bytes of their names.
        let bound = (many - few) * 24
        #expect(figures[1][1] - figures[0][1] < bound, "\(figures)")
        #expect(figures[1][2] - figures[0][2] < bound, "\(figures)")
    }
}
