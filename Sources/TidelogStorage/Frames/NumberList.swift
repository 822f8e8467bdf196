#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A list of numbers in one of three forms, whichever is small and quick to read.
///
/// Form 0: all are the same; one varint. Form 1: varints, left to zstd. Form 2: the smallest number as a
/// varint, a width in bits, and the differences from the smallest in that many bits each, least significant
/// first: nearly as small as entropy coding where all values are about equally likely, and much quicker.
enum NumberList {
    static let constant: UInt8 = 0
    static let varints: UInt8 = 1
    static let packed: UInt8 = 2
    /// The widest packed difference: a load of eight bytes holds it at every offset in a byte.
    static let maximumBits = 56

    /// Adds `count` numbers to `target`.
    ///
    /// - Returns: whether it is worth trying to compress what was added.
    static func write(
        _ values: UnsafePointer<UInt64>, _ count: Int, to target: inout Numbers<UInt8>
    ) -> Bool {
        if count == 0 { return false }
        var smallest = UInt64.max
        var largest: UInt64 = 0
        var varintBytes = 0
        for index in 0..<count {
            let value = values[index]
            smallest = min(smallest, value)
            largest = max(largest, value)
            varintBytes &+= Varint.size(value)
        }
        if smallest == largest {
            target.append(Self.constant)
            target.appendVarint(smallest)
            return false
        }
        let bits = 64 &- (largest &- smallest).leadingZeroBitCount
        let packedBytes = (count &* bits &+ 7) / 8
        if Self.prefersPacked(values, count, smallest, bits, packedBytes, varintBytes) {
            target.append(Self.packed)
            target.append(UInt8(truncatingIfNeeded: bits))
            target.appendVarint(smallest)
            Self.pack(values, count, smallest, bits, packedBytes, to: &target)
            return false
        }
        target.append(Self.varints)
        target.reserve(target.count &+ varintBytes &+ Varint.maximumBytes)
        var cursor = target.base + target.count
        for index in 0..<count { Varint.write(values[index], at: &cursor) }
        target.count = cursor - target.base
        return true
    }

    private static func prefersPacked(
        _ values: UnsafePointer<UInt64>, _ count: Int, _ smallest: UInt64, _ bits: Int,
        _ packedBytes: Int, _ varintBytes: Int
    ) -> Bool {
        if bits > Self.maximumBits { return false }
        // Lists that zstd is not tried on.
        if varintBytes < FrameFormat.minimumCompressedChunkBytes { return packedBytes <= varintBytes }
        if bits > 6 { return packedBytes &* 8 <= varintBytes &* 7 }
        if bits == 1 { return true }
        // Few values: what would entropy coding make of them?
        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { histogram in
            histogram.initialize(repeating: 0)
            for index in 0..<count { histogram[Int(truncatingIfNeeded: values[index] &- smallest)] &+= 1 }
            var information: Float = 0
            let total = Float(count)
            for frequency in histogram where frequency > 0 {
                information += Float(frequency) * log2(total / Float(frequency))
            }
            return Float(packedBytes) <= information / 8 * 1.2 + 40
        }
    }

    private static func pack(
        _ values: UnsafePointer<UInt64>, _ count: Int, _ smallest: UInt64, _ bits: Int,
        _ packedBytes: Int, to target: inout Numbers<UInt8>
    ) {
        target.reserve(target.count &+ packedBytes &+ 8)
        let start = UnsafeMutableRawPointer(target.base + target.count)
        var word: UInt64 = 0
        var filled: UInt64 = 0
        var offset = 0
        for index in 0..<count {
            let difference = values[index] &- smallest
            word |= difference &<< filled
            filled &+= UInt64(truncatingIfNeeded: bits)
            if filled >= 64 {
                start.store(word, at: offset)
                offset &+= 8
                filled &-= 64
                word = filled == 0 ? 0 : difference &>> (UInt64(truncatingIfNeeded: bits) &- filled)
            }
        }
        start.store(word, at: offset)
        target.count &+= packedBytes
    }

    /// Reads `count` numbers; marks the reader as broken if they are not there or do not fit.
    @inline(__always)
    static func read<Number: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ reader: inout ByteReader, _ count: Int, into target: UnsafeMutablePointer<Number>
    ) {
        switch reader.byte() {
        case Self.constant:
            let value = reader.varint()
            if value > UInt64(Number.max) { reader.fail() }
            target.update(repeating: Number(truncatingIfNeeded: value), count: count)
        case Self.varints:
            var local = reader
            var union: UInt64 = 0
            for index in 0..<count {
                let value = local.varint()
                union |= value
                target[index] = Number(truncatingIfNeeded: value)
            }
            if union > UInt64(Number.max) { local.fail() }
            reader = local
        case Self.packed:
            Self.readPacked(&reader, count, into: target)
        default:
            reader.fail()
        }
        if reader.isBroken { target.update(repeating: 0, count: count) }
    }

    @inline(__always)
    private static func readPacked<Number: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ reader: inout ByteReader, _ count: Int, into target: UnsafeMutablePointer<Number>
    ) {
        let bits = Int(reader.byte())
        let smallest = reader.varint()
        guard bits >= 1, bits <= Self.maximumBits, let start = reader.bytes((count &* bits &+ 7) / 8) else {
            reader.fail()
            return
        }
        let source = UnsafeRawPointer(start)
        let mask: UInt64 = 1 &<< UInt64(truncatingIfNeeded: bits) &- 1
        var union: UInt64 = 0
        var bit = 0
        for index in 0..<count {
            // Loads reach up to seven bytes beyond the list, which are there (see `Numbers`).
            let word = source.littleEndian(UInt64.self, at: bit &>> 3)
            let value = ((word &>> UInt64(truncatingIfNeeded: bit & 7)) & mask) &+ smallest
            union |= value
            target[index] = Number(truncatingIfNeeded: value)
            bit &+= bits
        }
        if union > UInt64(Number.max) { reader.fail() }
    }
}
