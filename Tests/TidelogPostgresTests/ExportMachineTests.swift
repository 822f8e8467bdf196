#if Postgres
    import Testing

    @testable import TidelogPostgres

    @Suite("The exporter's state machine")
    struct ExportMachineTests {
        let lost = PostgresError(.unreachable, "lost")
        let diverged = PostgresError(.diverged, "diverged")

        func machine(continuous: Bool = true) -> ExportMachine {
            ExportMachine(
                isContinuous: continuous, backoff: .init(first: .seconds(1), most: .seconds(8)), attempts: 3,
                gathering: .milliseconds(50), fullBatch: 100)
        }

        @Test("it connects first, exports from where the database stands, then waits")
        func ordinary() {
            var machine = machine()
            #expect(machine.step(now: .zero, end: 500) == .connect)
            machine.connected(next: 200, now: .zero)
            #expect(machine.step(now: .zero, end: 500) == .export(from: 200))
            machine.exported(next: 500, now: .zero)
            #expect(machine.step(now: .zero, end: 500) == .wait(ExportMachine.probeInterval))
            #expect(machine.state == .connected)
        }

        @Test("a few new events wait for others, a full batch does not")
        func gathering() {
            var machine = machine()
            machine.connected(next: 10, now: .zero)
            #expect(machine.step(now: .seconds(1), end: 11) == .wait(.milliseconds(50)))
            #expect(machine.step(now: .milliseconds(1030), end: 15) == .wait(.milliseconds(20)))
            #expect(machine.step(now: .milliseconds(1050), end: 15) == .export(from: 10))
            machine.exported(next: 15, now: .seconds(2))
            #expect(machine.step(now: .seconds(2), end: 115) == .export(from: 15))
        }

        @Test("it rests between batches when it is told to, unless it is stopping")
        func resting() {
            var machine = machine()
            machine.connected(next: 0, now: .zero)
            machine.exported(next: 100, now: .zero)
            machine.rest(until: .seconds(2))
            #expect(machine.step(now: .seconds(1), end: 500) == .wait(.seconds(1)))
            #expect(machine.step(now: .seconds(2), end: 500) == .export(from: 100))
            machine.rest(until: .seconds(9))
            machine.stop(target: 500, deadline: .seconds(8))
            #expect(machine.step(now: .seconds(3), end: 500) == .export(from: 100))
            var single = self.machine(continuous: false)
            single.connected(next: 0, now: .zero)
            single.rest(until: .seconds(2))
            #expect(single.step(now: .seconds(1), end: 500) == .export(from: 0))
        }

        @Test("an idle connection is probed, and believed in again after that")
        func probing() {
            var machine = machine()
            machine.connected(next: 10, now: .zero)
            #expect(machine.step(now: .seconds(14), end: 10) == .wait(.seconds(1)))
            #expect(machine.step(now: .seconds(15), end: 10) == .probe)
            machine.probed(now: .seconds(15))
            #expect(machine.step(now: .seconds(16), end: 10) == .wait(.seconds(14)))
        }

        @Test("after each failure it connects anew, with delays that double up to the longest")
        func backoff() {
            var machine = machine()
            var now = Duration.zero
            for delay in [1, 2, 4, 8, 8, 8] {
                #expect(machine.step(now: now, end: 1) == .connect)
                machine.failed(self.lost, now: now, random: 0)
                #expect(machine.step(now: now, end: 1) == .rest(.seconds(delay)))
                #expect(machine.state == .offline && machine.lastError != nil)
                now += .seconds(delay)
            }
            machine.connected(next: 0, now: now)
            #expect(machine.step(now: now, end: 200) == .export(from: 0))
            machine.failed(self.lost, now: now, random: 0)
            #expect(machine.step(now: now, end: 200) == .rest(.seconds(8)))
            machine.connected(next: 0, now: now)
            machine.exported(next: 200, now: now)
            #expect(machine.lastError == nil && machine.failures == 0)
        }

        @Test("the random half of a delay lies between half and all of it")
        func jitter() {
            let backoff = ExportMachine.Backoff(first: .seconds(2), most: .seconds(60))
            #expect(backoff.delay(attempt: 1, random: 1) == .seconds(1))
            #expect(backoff.delay(attempt: 1, random: 0) == .seconds(2))
            #expect(backoff.delay(attempt: 1_000_000, random: 0) == .seconds(60))
        }

        @Test("what must be decided by a person halts it until it is resumed")
        func halting() {
            var machine = machine()
            machine.failed(self.diverged, now: .zero, random: 0)
            #expect(machine.step(now: .seconds(9999), end: 1) == .rest(nil))
            #expect(machine.state == .halted)
            machine.resume()
            #expect(machine.step(now: .seconds(9999), end: 1) == .connect)
        }

        @Test("one that runs once ends when all is exported, at a lasting error, and after its tries")
        func once() {
            var done = machine(continuous: false)
            done.connected(next: 5, now: .zero)
            #expect(done.step(now: .zero, end: 6) == .export(from: 5))
            done.exported(next: 6, now: .zero)
            #expect(done.step(now: .zero, end: 6) == .end)
            #expect(done.lastError == nil)

            // An app that goes on appending does not keep it from ending.
            var busy = machine(continuous: false)
            busy.connected(next: 0, now: .zero)
            #expect(busy.step(now: .zero, end: 6) == .export(from: 0))
            busy.exported(next: 4, now: .zero)
            #expect(busy.step(now: .zero, end: 8) == .export(from: 4))
            busy.exported(next: 8, now: .zero)
            #expect(busy.step(now: .zero, end: 12) == .end)

            var refused = machine(continuous: false)
            refused.failed(PostgresError(.authentication, "no"), now: .zero, random: 0)
            #expect(refused.step(now: .zero, end: 6) == .end && refused.lastError?.code == .authentication)

            var away = machine(continuous: false)
            for _ in 0..<2 { away.failed(self.lost, now: .zero, random: 0) }
            #expect(away.step(now: .zero, end: 6) == .rest(.seconds(2)))
            away.failed(self.lost, now: .zero, random: 0)
            #expect(away.step(now: .zero, end: 6) == .end && away.lastError?.code == .unreachable)
        }

        @Test("paused, it lets go of the connection, and resumed it begins with the checkpoint")
        func pausing() {
            var machine = machine()
            machine.connected(next: 5, now: .zero)
            machine.pause()
            #expect(machine.step(now: .zero, end: 500) == .rest(nil) && machine.state == .paused)
            machine.resume()
            #expect(machine.step(now: .zero, end: 500) == .connect)
        }

        @Test("paused while it connects, it lets go of that connection, and connects anew when it is resumed")
        func pausedWhileConnecting() {
            var machine = machine()
            #expect(machine.step(now: .zero, end: 500) == .connect)
            machine.pause()
            machine.connected(next: 5, now: .zero)
            #expect(machine.step(now: .zero, end: 500) == .rest(nil) && machine.state == .paused)
            machine.resume()
            #expect(machine.step(now: .zero, end: 500) == .connect)
        }

        @Test("stopping drains what was there and no more, or ends at its limit")
        func stopping() {
            var machine = machine()
            machine.connected(next: 5, now: .zero)
            machine.stop(target: 6, deadline: .seconds(5))
            #expect(machine.step(now: .zero, end: 7) == .export(from: 5))
            machine.exported(next: 6, now: .zero)
            #expect(machine.step(now: .zero, end: 7) == .end)

            var away = self.machine()
            away.failed(self.lost, now: .zero, random: 0)
            away.failed(self.lost, now: .zero, random: 0)
            away.stop(target: 6, deadline: .seconds(1))
            #expect(away.step(now: .zero, end: 7) == .rest(.seconds(1)))
            #expect(away.step(now: .seconds(1), end: 7) == .end)
        }
    }
#endif
