#if Postgres
    /// A fingerprint of a set of positions, whatever their order: each changes it by bits of its own, so that
    /// two sets have the same one with a chance of 2⁻⁶⁴, unless somebody looks for such sets.
    struct PositionFingerprint: Sendable, Equatable {
        private(set) var bits: UInt64 = 0

        /// The fingerprint of the empty set.
        init() {}

        /// The fingerprint with these bits.
        init(bits: UInt64) { self.bits = bits }

        /// Adds a position that is not in the set, or removes one that is.
        mutating func toggle(_ position: UInt64) {
            // The output of SplitMix64 for this state (Steele, Lea and Flood, "Fast splittable pseudorandom
            // number generators", 2014).
            var mixed = position &+ 0x9E37_79B9_7F4A_7C15
            mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            self.bits ^= mixed ^ mixed >> 31
        }
    }
#endif
