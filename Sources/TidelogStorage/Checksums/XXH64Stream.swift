/// The 64-bit xxHash of bytes that arrive in pieces; equal to ``XXH64/hash(_:seed:)`` of all of them.
package struct XXH64Stream: Sendable {
    private var lanes: XXH64.Lanes
    private let seed: UInt64
    private var total: UInt64 = 0
    /// The bytes that do not fill a stripe of 32 yet.
    private var pending: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private var pendingCount = 0

    package init(seed: UInt64 = 0) {
        self.seed = seed
        self.lanes = XXH64.Lanes(seed: seed)
    }

    /// Adds `bytes` to what was hashed so far.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard var cursor = bytes.baseAddress, bytes.count > 0 else { return }
        var remaining = bytes.count
        self.total &+= UInt64(truncatingIfNeeded: remaining)
        if self.pendingCount > 0 {
            let taken = min(32 - self.pendingCount, remaining)
            let offset = self.pendingCount
            withUnsafeMutableBytes(of: &self.pending) { buffer in
                UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + taken)])
                    .copyMemory(from: UnsafeRawBufferPointer(start: cursor, count: taken))
            }
            self.pendingCount += taken
            cursor += taken
            remaining -= taken
            guard self.pendingCount == 32 else { return }
            let stripe = self.pending
            withUnsafeBytes(of: stripe) { buffer in
                if let start = buffer.baseAddress { self.lanes.consume(start, stripes: 1) }
            }
            self.pendingCount = 0
        }
        let stripes = remaining / 32
        self.lanes.consume(cursor, stripes: stripes)
        cursor += stripes * 32
        remaining -= stripes * 32
        if remaining > 0 {
            withUnsafeMutableBytes(of: &self.pending) { buffer in
                buffer.copyMemory(from: UnsafeRawBufferPointer(start: cursor, count: remaining))
            }
            self.pendingCount = remaining
        }
    }

    /// The hash of everything added so far; more may be added afterwards.
    package func finish() -> UInt64 {
        let start = self.total >= 32 ? self.lanes.merged : self.seed &+ XXH64.prime5
        return withUnsafeBytes(of: self.pending) { buffer in
            XXH64.finish(start &+ self.total, tail: buffer.baseAddress, count: self.pendingCount)
        }
    }
}
