extension Identifier {
    /// A hash that is the same in every process and version, for it stands on disk; never 0, which means
    /// "none" there.
    ///
    /// A text is hashed as its UTF-8 bytes by XXH64 with seed 0. A UUID with the halves *h* and *l* (its
    /// first and last eight bytes, big-endian) is mixed, all modulo 2^64: *x* = (*h* × prime 1) xor
    /// rotl(*l* × prime 2, 31); then XXH64's final avalanche over *x*: xor with itself shifted right by 33,
    /// × prime 2, the same with 29, × prime 3, the same with 32. A result of 0 becomes 1. The primes are
    /// XXH64's.
    package var hash64: UInt64 {
        let hash: UInt64
        switch self {
        case .uuid(let high, let low): hash = Self.hash64(high, low)
        case .text(let text): hash = XXH64.hash(text)
        }
        return hash == 0 ? 1 : hash
    }

    @inline(__always)
    private static func hash64(_ high: UInt64, _ low: UInt64) -> UInt64 {
        XXH64.finish(
            (high &* XXH64.prime1) ^ XXH64.rotate(low &* XXH64.prime2, 31), tail: nil, count: 0)
    }
}
