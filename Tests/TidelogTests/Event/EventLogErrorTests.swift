import Testing
import Tidelog
import TidelogStorage

@Suite("Errors")
struct EventLogErrorTests {
    @Test("of the storage layer keep their meaning, places and cause")
    func translation() {
        let storage = StorageError(
            .corrupted, "A block is damaged.", path: "/x", positions: 3..<9, actualRevision: 4)
        let error = EventLogError(storage)
        #expect(error.code == .corrupted)
        #expect(error.message == "A block is damaged.")
        #expect(error.path == "/x")
        #expect(error.positions == 3..<9)
        #expect(error.actualRevision == 4)
        #expect((error.cause as? StorageError)?.code == .corrupted)
        #expect(error.description == "corrupted: A block is damaged. [/x] [positions 3..<9]")
        #expect(EventLogError(StorageError(.diskFull, "")).code == .storageFull)
        #expect(EventLogError(StorageError(.mapFull, "")).code == .storageFull)
        #expect(EventLogError(StorageError(.duplicate, "")).code == .duplicateEvent)
    }

    @Test("are caught by their codes, typed or not")
    func patterns() throws {
        func typed() throws(EventLogError) { throw EventLogError(.conflict, "moved on") }
        func untyped() throws { try typed() }
        do { try typed() } catch EventLogError.Code.conflict {} catch { Issue.record("not caught") }
        do { try untyped() } catch EventLogError.Code.conflict {} catch { Issue.record("not caught") }
        do { try untyped() } catch EventLogError.Code.closed { Issue.record("caught") } catch {}
        #expect(!(EventLogError.Code.conflict ~= CancellationError()))
        #expect("\(EventLogError.Code.streamDeleted)" == "streamDeleted")
    }
}
