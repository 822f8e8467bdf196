import Dispatch
import Glibc
import Synchronization

/// A line on standard error that tells how far long work has come; nothing where that is not a terminal.
///
/// It is drawn ten times a second at the most, and taken away at the end.
final class ProgressBar: Sendable {
    private struct State {
        var drawn: ContinuousClock.Instant?
        var isOver = false
    }

    private let what: String
    private let total: Int?
    private let describe: @Sendable (Int) -> String
    private let isShown: Bool
    private let start = ContinuousClock.now
    private let state = Mutex(State())

    /// - Parameters:
    ///   - what: what is going on: `importing`.
    ///   - total: what `done` will be at the end, if known.
    ///   - isWanted: whether to show it, where that is a terminal.
    ///   - describe: `done` for people; default: events.
    init(
        _ what: String, total: Int?, isWanted: Bool = true,
        describe: @escaping @Sendable (Int) -> String = Units.events
    ) {
        self.what = what
        self.total = total
        self.describe = describe
        self.isShown = isWanted && isatty(STDERR_FILENO) == 1
    }

    /// Says how much is done, and what else there is to say.
    func update(_ done: Int, _ more: @autoclosure () -> String = "") {
        guard self.isShown else { return }
        let now = ContinuousClock.now
        // Drawn under the lock, so that nothing is drawn any more once it is taken away.
        self.state.withLock { state in
            guard !state.isOver, state.drawn.map({ now - $0 >= .milliseconds(100) }) ?? true else { return }
            state.drawn = now
            self.draw(done, seconds: (now - self.start).inSeconds, more())
        }
    }

    /// Takes the line away.
    func finish() {
        guard self.isShown else { return }
        self.state.withLock { state in
            if !state.isOver, state.drawn != nil { writeToStandardError("\r\u{1B}[K") }
            state.isOver = true
        }
    }

    private func draw(_ done: Int, seconds: Double, _ more: String) {
        var line = "\r\u{1B}[K\(self.what) "
        if let total, total > 0 {
            let part = max(0, min(1, Double(done) / Double(total)))
            let filled = Int(part * 24)
            line +=
                "[" + String(repeating: "=", count: filled) + String(repeating: " ", count: 24 - filled)
                + "] "
            line += "\(Int(part * 100)) %  "
            if part > 0.01, part < 1, seconds > 2 {
                line += "\(Units.duration((seconds / part * (1 - part)).rounded(.up))) left  "
            }
        }
        line += self.describe(done)
        if !more.isEmpty { line += "  " + more }
        writeToStandardError(line)
    }

    /// Shows how far `body` has come, as `measure` tells it five times a second.
    static func watching<Value>(
        _ what: String, total: Int?, isWanted: Bool,
        describe: @escaping @Sendable (Int) -> String = Units.events,
        measure: @escaping @Sendable () async -> Int, _ body: () async throws -> Value
    ) async throws -> Value {
        let bar = ProgressBar(what, total: total, isWanted: isWanted, describe: describe)
        guard bar.isShown else { return try await body() }
        bar.update(0)
        let watcher = Task {
            while !Task.isCancelled {
                bar.update(await measure())
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        defer {
            watcher.cancel()
            bar.finish()
        }
        return try await body()
    }
}
