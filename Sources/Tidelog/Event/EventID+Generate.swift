import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// UUIDs of version 7 (RFC 9562, section 5.7), made without a lock.
//
// The 48 bits of milliseconds are followed by 12 bits that tell the fraction of the millisecond (method 3
// of section 6.2); together they are a clock of 60 bits. Each id takes the larger of the clock's reading
// and the last id's clock plus one, so ids made by one process ascend, whatever the system clock does. The
// other 62 bits are SplitMix64 over a state that starts at a random number of the operating system and
// moves on by one atomic addition: ids of different processes and machines do not meet, but a reader who
// has seen one can guess the next. They are names, not secrets.

/// The 60-bit clock of the last id.
private let lastClock = Atomic<UInt64>(0)

/// The state of the random bits.
private let randomState: RandomState = {
    // A child of fork would go on with its parent's numbers.
    pthread_atfork(nil, nil) { randomState.reseed() }
    return RandomState()
}()

private struct RandomState: ~Copyable, Sendable {
    private let state = Atomic<UInt64>(SystemRandomNumberGenerator.word())

    func next() -> UInt64 {
        // SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
        var z = self.state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    func reseed() { self.state.store(SystemRandomNumberGenerator.word(), ordering: .relaxed) }
}

extension SystemRandomNumberGenerator {
    fileprivate static func word() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

extension EventID {
    /// A new id: a UUID of version 7, greater than every id that this process made before.
    public static func generate() -> Self {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let nanoseconds = UInt64(truncatingIfNeeded: time.tv_nsec)
        let milliseconds = UInt64(truncatingIfNeeded: time.tv_sec) &* 1000 &+ nanoseconds / 1_000_000
        let reading = milliseconds << 12 | (nanoseconds % 1_000_000) &* 4096 / 1_000_000
        var last = lastClock.load(ordering: .relaxed)
        while true {
            let clock = max(reading, last &+ 1)
            let (exchanged, original) = lastClock.weakCompareExchange(
                expected: last, desired: clock, ordering: .relaxed)
            if exchanged { return .version7(clock: clock, random: randomState.next()) }
            last = original
        }
    }

    /// The UUID of version 7 with this clock (milliseconds and 12 bits of fraction) and 62 random bits.
    package static func version7(clock: UInt64, random: UInt64) -> Self {
        let high = (clock >> 12) << 16 | 0x7000 | (clock & 0xFFF)
        return .init(.uuid(high, 0x8000_0000_0000_0000 | random >> 2))
    }
}
