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
        try await log.append(Event(type: "in"))
        var settings = ConsumerSettings()
        settings.filter = .types("in")
        settings.retry = .immediate(maximumDeliveries: 1)
        let consumer = try await log.consumer("c", settings: settings)
        let output = directory.path.string + "/child"
        let running = Task {
            try await consumer.runExactlyOnce { _, transaction in
                try transaction.append(Event(type: "out", json: "[]"))
                let child = try Child(["register", path.string], output: output)
                #expect(child.wait() == 0, "\(child.lines())")
            }
        }
        while true {
            let status = try #require(try await log.consumers.status(of: "c"))
            if status.deadLetters == 1 { break }
            try #require(status.acknowledged == 0, "what does not fit was committed")
            try await Task.sleep(for: .milliseconds(5))
        }
        running.cancel()
        try await running.value
        #expect(try await log.count(.types("out")) == 0)
        await log.close()
    }
}
