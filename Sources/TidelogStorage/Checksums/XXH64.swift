/// The 64-bit xxHash: fast, not cryptographic; it finds accidents, not forgeries.
///
/// Written after the specification at https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
/// (version 0.1.1, "XXH64"); results equal those of the reference implementation on every platform.
package enum XXH64 {
    static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    /// The hash of `bytes`.
    ///
    /// - Complexity: O(*n*); several bytes a clock cycle from a few dozen bytes up.
    package static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        guard let start = bytes.baseAddress else {
            return Self.finish(seed &+ Self.prime5, tail: nil, count: 0)
        }
        var cursor = start
        var remaining = bytes.count
        var accumulator: UInt64
        if remaining >= 32 {
            var lanes = Lanes(seed: seed)
            let stripes = remaining / 32
            lanes.consume(cursor, stripes: stripes)
            cursor += stripes * 32
            remaining -= stripes * 32
            accumulator = lanes.merged
        } else {
            accumulator = seed &+ Self.prime5
        }
        accumulator &+= UInt64(truncatingIfNeeded: bytes.count)
        return Self.finish(accumulator, tail: cursor, count: remaining)
    }

    /// The hash of `bytes`.
    package static func hash(_ bytes: RawSpan, seed: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { Self.hash($0, seed: seed) }
    }

    /// The hash of the UTF-8 bytes of `string`.
    package static func hash(_ string: String, seed: UInt64 = 0) -> UInt64 {
        var string = string
        return string.withUTF8 { Self.hash(UnsafeRawBufferPointer($0), seed: seed) }
    }

    /// Mixes in the last 0 to 31 bytes and spreads every bit over the result.
    @inline(__always)
    static func finish(_ start: UInt64, tail: UnsafeRawPointer?, count: Int) -> UInt64 {
        var accumulator = start
        if var cursor = tail {
            var remaining = count
            while remaining >= 8 {
                accumulator ^= Self.round(0, Self.load64(cursor))
                accumulator = Self.rotate(accumulator, 27) &* Self.prime1 &+ Self.prime4
                cursor += 8
                remaining -= 8
            }
            if remaining >= 4 {
                let word = UInt32(littleEndian: cursor.loadUnaligned(as: UInt32.self))
                accumulator ^= UInt64(word) &* Self.prime1
                accumulator = Self.rotate(accumulator, 23) &* Self.prime2 &+ Self.prime3
                cursor += 4
                remaining -= 4
            }
            while remaining > 0 {
                accumulator ^= UInt64(cursor.load(as: UInt8.self)) &* Self.prime5
                accumulator = Self.rotate(accumulator, 11) &* Self.prime1
                cursor += 1
                remaining -= 1
            }
        }
        accumulator ^= accumulator >> 33
        accumulator &*= Self.prime2
        accumulator ^= accumulator >> 29
        accumulator &*= Self.prime3
        accumulator ^= accumulator >> 32
        return accumulator
    }

    @inline(__always)
    static func load64(_ pointer: UnsafeRawPointer) -> UInt64 {
        UInt64(littleEndian: pointer.loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
        (value &<< count) | (value &>> (64 &- count))
    }

    @inline(__always)
    static func round(_ accumulator: UInt64, _ input: UInt64) -> UInt64 {
        Self.rotate(accumulator &+ input &* Self.prime2, 31) &* Self.prime1
    }

    /// The four accumulators that run side by side over stripes of 32 bytes.
    struct Lanes {
        var a: UInt64
        var b: UInt64
        var c: UInt64
        var d: UInt64

        @inline(__always)
        init(seed: UInt64) {
            self.a = seed &+ XXH64.prime1 &+ XXH64.prime2
            self.b = seed &+ XXH64.prime2
            self.c = seed
            self.d = seed &- XXH64.prime1
        }

        @inline(__always)
        mutating func consume(_ start: UnsafeRawPointer, stripes: Int) {
            var (a, b, c, d) = (self.a, self.b, self.c, self.d)
            var cursor = start
            let end = start + stripes &* 32
            while cursor < end {
                a = XXH64.round(a, XXH64.load64(cursor))
                b = XXH64.round(b, XXH64.load64(cursor + 8))
                c = XXH64.round(c, XXH64.load64(cursor + 16))
                d = XXH64.round(d, XXH64.load64(cursor + 24))
                cursor += 32
            }
            (self.a, self.b, self.c, self.d) = (a, b, c, d)
        }

        @inline(__always)
        var merged: UInt64 {
            var merged =
                XXH64.rotate(self.a, 1) &+ XXH64.rotate(self.b, 7) &+ XXH64.rotate(self.c, 12)
                &+ XXH64.rotate(self.d, 18)
            merged = (merged ^ XXH64.round(0, self.a)) &* XXH64.prime1 &+ XXH64.prime4
            merged = (merged ^ XXH64.round(0, self.b)) &* XXH64.prime1 &+ XXH64.prime4
            merged = (merged ^ XXH64.round(0, self.c)) &* XXH64.prime1 &+ XXH64.prime4
            return (merged ^ XXH64.round(0, self.d)) &* XXH64.prime1 &+ XXH64.prime4
        }
    }
}
