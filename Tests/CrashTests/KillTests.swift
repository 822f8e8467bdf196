import Testing
import TidelogTesting
import torture

@Suite("A process that is killed", .serialized)
struct KillTests {
    /// New in each run; when one fails, the seed is in the message.
    private static let seed = TestSeed.draw(for: "kills") % 1_000_000

    @Test(
        "appending from four threads: nothing acknowledged is lost, no batch is torn, nothing is out of place"
    )
    func appending() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var campaign = Campaign(directory: directory.path.string, seed: Self.seed, maintains: false)
        try campaign.run(cycles: 25)
        #expect(campaign.acknowledged > 0)
    }

    @Test("appending, sealing, compacting, retaining and truncating: the same")
    func maintaining() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var campaign = Campaign(directory: directory.path.string, seed: Self.seed, maintains: true)
        try campaign.run(cycles: 25)
        #expect(campaign.acknowledged > 0)
    }

    @Test(
        "while another opens the log too: the other one works, and no acknowledged commit is overwritten",
        arguments: [true, false])
    func openingAtOnce(isFresh: Bool) throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        try Campaign.race(directory: directory.path.string, seed: Self.seed, rounds: 15, isFresh: isFresh)
    }
}
