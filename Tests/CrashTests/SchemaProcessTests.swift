import Testing
import Tidelog
import TidelogTesting
import torture

@Suite("Schemas that another process registers")
struct SchemaProcessTests {
    @Test("hold for what a handler has put into its transaction before, at the commit")
    func handler() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        let output = directory.path.string + "/child"
        try await RefusedHandler.run(on: log) { transaction in
            try transaction.append(Event(type: "out", json: "[]"))
            let child = try Child(["register", path.string], output: output)
            #expect(child.wait() == 0, "\(child.lines())")
        }
        #expect(try await log.count(.types("out")) == 0)
        await log.close()
    }
}
