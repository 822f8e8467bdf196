#if Postgres
    import Synchronization
    import TidelogTesting

    /// Random numbers that several threads draw.
    final class LockedGenerator: Sendable {
        private let generator: Mutex<SeededGenerator>

        init(_ seed: UInt64) { self.generator = Mutex(SeededGenerator(seed: seed)) }

        /// A number from 1 to `most`.
        func next(_ most: Int) -> Int {
            self.generator.withLock { Int.random(in: 1...most, using: &$0) }
        }
    }
#endif
