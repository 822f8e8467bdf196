/// Random numbers that are the same for the same seed on every machine: xoshiro256**, its state filled by
/// SplitMix64 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// The numbers that belong to `seed`.
    public init(seed: UInt64) {
        var word = seed
        func next() -> UInt64 {
            word &+= 0x9E37_79B9_7F4A_7C15
            var z = word
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        self.state = (next(), next(), next(), next())
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 { value << bits | value >> (64 - bits) }
        let result = rotated(self.state.1 &* 5, 7) &* 9
        let shifted = self.state.1 << 17
        self.state.2 ^= self.state.0
        self.state.3 ^= self.state.1
        self.state.1 ^= self.state.2
        self.state.0 ^= self.state.3
        self.state.2 ^= shifted
        self.state.3 = rotated(self.state.3, 45)
        return result
    }

    /// A number from 0 to `bound` - 1, all equally likely but for one part in 2⁶⁴ ÷ `bound`.
    ///
    /// The standard library does not promise its own way from bits to numbers; this one stays.
    public mutating func below(_ bound: Int) -> Int {
        Int(UInt64(bound).multipliedFullWidth(by: self.next()).high)
    }

    /// Whether a chance of `parts` in 1,000 came up.
    public mutating func chance(permille parts: Int) -> Bool { self.below(1000) < parts }
}
