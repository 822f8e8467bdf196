import Glibc
import Testing

@testable import TidelogStorage

@Suite("The bound of the head", .timeLimit(.minutes(30)))
struct HeadBoundTests {
    let scratch = EngineScratch()

    private var options: EngineOptions {
        var options = self.scratch.options
        options.sealsInBackground = true
        options.maximumUnsealedSegments = 2
        options.sealingPatience = .seconds(600)
        return options
    }

    /// Keeps sealing from its work until it is let go.
    private func occupy(_ engine: LogEngine) throws -> WakeSignal {
        let (began, letGo) = (WakeSignal(), WakeSignal())
        _ = try WorkerThread(name: "occupier") {
            do throws(StorageError) {
                try engine.maintenance.exclusively(engine) { () throws(StorageError) in
                    began.wake()
                    letGo.wait()
                }
            } catch {
                Issue.record(error)
                began.wake()
            }
        }
        began.wait()
        return letGo
    }

    /// Appends that many events, twenty at a time, on a thread of its own.
    private func append(_ count: Int, to engine: LogEngine) throws -> WakeSignal {
        let done = WakeSignal()
        _ = try WorkerThread(name: "appender") {
            do throws(StorageError) {
                for start in stride(from: 0, to: count, by: 20) {
                    _ = try engine.appendBlocking(EngineScratch.records(start..<start + 20))
                }
            } catch {
                Issue.record(error)
            }
            done.wake()
        }
        return done
    }

    @Test("appends wait while too many full segments do; other changes go on; then all is there")
    func waiting() throws {
        let engine = try self.scratch.open(self.options)
        let letGo = try self.occupy(engine)
        let done = try self.append(4000, to: engine)
        while engine.writer?.isHoldingAppends != true { usleep(500) }
        let end = try engine.currentView().end
        #expect(engine.fullChunks == 3)
        #expect(end < 4000)
        try engine.truncate(stream: "s", before: 0)
        // A change without events, as an acknowledgement is one, does not wait with the appends.
        let made = WakeSignal()
        let change = HeadChange { transaction throws(StorageError) in
            try transaction.setRecord(RecordSpace(byte: 200), key: [1], value: [2])
            return true
        }
        engine.submit(change) { error in
            #expect(error == nil)
            made.wake()
        }
        #expect(made.wait(timeout: .seconds(60)), "a change waits until appends may go on")
        #expect(try engine.currentView().end == end)
        #expect(engine.writer?.isHoldingAppends == true)
        letGo.wake()
        done.wait()
        #expect(try engine.checkedNumbers() == Array(0..<4000))
        #expect(try engine.currentView().catalogue.segments.count > 3)
        engine.close()
    }

    @Test("the head's file stays small however much is appended without a pause")
    func bounded() throws {
        var options = self.options
        options.segmentBytes = 64 << 10
        let engine = try self.scratch.open(options)
        var random = SystemRandomNumberGenerator()
        var most = 0
        for start in stride(from: 0, to: 8000, by: 10) {
            let records = (start..<start + 10).map { number in
                var record = EngineScratch.record(number)
                // Does not compress: in the head it takes what it has.
                record.payload = ArraySlice((0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) })
                return record
            }
            _ = try engine.appendBlocking(records)
            most = max(most, engine.fullChunks)
        }
        #expect(most <= 3)
        let used = try engine.head.environment.info().usedBytes
        #expect(used < 3 << 20, "of 8 MB appended, the head holds \(used) bytes")
        #expect(try engine.checkedNumbers() == Array(0..<8000))
        engine.close()
    }

    @Test("where sealing fails appends go on, the error is told, and sealing goes on when the cause is gone")
    func failing() throws {
        let engine = try self.scratch.open(self.options)
        // A directory stands where the first segment's file belongs.
        let obstacle = self.scratch.directory + "/segments/00000000000000000000.mdb.tmp"
        #expect(mkdir(obstacle, 0o700) == 0)
        let done = try self.append(4000, to: engine)
        done.wait()
        #expect(engine.fullChunks > 3)
        while engine.sealingError == nil { usleep(500) }
        #expect(try engine.statistics().sealingProblem != nil)
        #expect(rmdir(obstacle) == 0)
        while engine.fullChunks > 0 { usleep(500) }
        #expect(try engine.checkedNumbers() == Array(0..<4000))
        engine.close()
    }

    @Test("closing while appends wait commits what was accepted")
    func closing() async throws {
        let engine = try self.scratch.open(self.options)
        let letGo = try self.occupy(engine)
        let results = OutcomeBox<[Int]>()
        _ = try WorkerThread(name: "appender") {
            var acknowledged: [Int] = []
            for start in stride(from: 0, to: 100_000, by: 20) {
                do throws(StorageError) {
                    _ = try engine.appendBlocking(EngineScratch.records(start..<start + 20))
                    acknowledged.append(contentsOf: start..<start + 20)
                } catch {
                    #expect(error.code == .closed)
                    break
                }
            }
            results.finish(.success(acknowledged))
        }
        while engine.writer?.isHoldingAppends != true { usleep(500) }
        let closed = WakeSignal()
        _ = try WorkerThread(name: "closer") {
            engine.close()
            closed.wake()
        }
        letGo.wake()
        closed.wait()
        let acknowledged = try results.wait().get()
        let again = try self.scratch.open()
        #expect(try again.checkedNumbers() == acknowledged)
        again.close()
    }

    @Test("a segment is sealed once its first event has reached the age that the log sets")
    func age() throws {
        var options = self.options
        options.segmentBytes = 64 << 20
        options.sealAge = .milliseconds(4)
        let engine = try self.scratch.open(options)
        for round in 0..<3 {
            _ = try engine.appendBlocking(EngineScratch.records(round * 20..<round * 20 + 20))
            while try engine.currentView().state.sealedEnd < UInt64(round * 20 + 20) { usleep(500) }
        }
        #expect(try engine.checkedNumbers() == Array(0..<60))
        #expect(try engine.currentView().catalogue.segments.count >= 3)
        engine.close()
    }
}
