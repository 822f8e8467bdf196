/// A small open-addressing table from 32-bit hashes to codes, emptied quickly and used again.
///
/// It knows nothing of the keys: whoever looks something up says whether the key behind a code is the one.
struct SlotTable: ~Copyable {
    struct Slot: BitwiseCopyable {
        var hash: UInt32
        /// The code plus one; 0 for an empty slot.
        var mark: UInt32
    }

    private var slots = Numbers<Slot>()
    /// The slots in use, so that a table that was hardly used is emptied in no time.
    private var used = Numbers<UInt32>()
    private var mask = 0

    init() { self.make(64) }

    /// What a search found: the code, or the slot at which it belongs.
    enum Finding {
        case code(UInt32)
        case vacant(Int)
    }

    /// Searches for `hash`; `isMatch` says whether the key of a code with the same hash is the one.
    @inline(__always)
    func find(_ hash: UInt32, _ isMatch: (UInt32) -> Bool) -> Finding {
        var index = Int(truncatingIfNeeded: hash) & self.mask
        while true {
            let slot = self.slots[index]
            if slot.mark == 0 { return .vacant(index) }
            if slot.hash == hash, isMatch(slot.mark &- 1) { return .code(slot.mark &- 1) }
            index = (index &+ 1) & self.mask
        }
    }

    /// Puts `code` into the vacant slot that ``find(_:_:)`` gave.
    mutating func insert(_ code: UInt32, hash: UInt32, at index: Int) {
        self.slots[index] = Slot(hash: hash, mark: code &+ 1)
        self.used.append(UInt32(truncatingIfNeeded: index))
        if self.used.count &* 2 > self.mask { self.enlarge() }
    }

    /// Sees that `count` entries go in without the table having to grow.
    mutating func prepare(_ count: Int) {
        precondition(self.used.count == 0, "only an empty table is prepared")
        var size = self.mask &+ 1
        while size < count &* 2 &+ 2 { size &*= 2 }
        if size > self.mask &+ 1 { self.make(size) }
    }

    /// Forgets all entries.
    mutating func reset() {
        if self.mask >= 1 << 16 {
            self.slots.clear(keeping: 64)
            self.make(64)
        } else if self.used.count &* 8 < self.mask {
            for index in self.used.all { self.slots[Int(index)] = Slot(hash: 0, mark: 0) }
        } else {
            self.make(self.mask &+ 1)
        }
        self.used.clear(keeping: 1 << 14)
    }

    private mutating func make(_ count: Int) {
        self.slots.resize(count)
        self.mask = count &- 1
        self.slots.base.initialize(repeating: Slot(hash: 0, mark: 0), count: count)
    }

    @inline(never)
    private mutating func enlarge() {
        var kept = Numbers<Slot>(capacity: self.used.count)
        for index in self.used.all { kept.append(self.slots[Int(index)]) }
        self.make((self.mask &+ 1) &* 4)
        self.used.count = 0
        for slot in kept.all {
            var index = Int(truncatingIfNeeded: slot.hash) & self.mask
            while self.slots[index].mark != 0 { index = (index &+ 1) & self.mask }
            self.slots[index] = slot
            self.used.append(UInt32(truncatingIfNeeded: index))
        }
    }
}

/// Hashing and comparing short runs of bytes, for tables that live no longer than the process.
///
/// The seed differs from process to process, so that nobody can prepare names that collide.
struct BytesHash: Sendable {
    private static let processSeed = UInt64.random(in: .min ... .max) | 1
    private let seed: UInt64

    init() { self.seed = Self.processSeed }

    @inline(__always)
    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    /// A 32-bit hash of `count` bytes.
    @inline(__always)
    func hash(_ start: UnsafeRawPointer, _ count: Int) -> UInt32 {
        var state = self.seed
        var cursor = start
        var remaining = count
        while remaining > 16 {
            state = Self.mix(
                cursor.littleEndian(UInt64.self, at: 0) ^ XXH64.prime1,
                cursor.littleEndian(UInt64.self, at: 8) ^ state)
            cursor += 16
            remaining &-= 16
        }
        var a: UInt64 = 0
        var b: UInt64 = 0
        if remaining >= 8 {
            a = cursor.littleEndian(UInt64.self, at: 0)
            b = cursor.littleEndian(UInt64.self, at: remaining &- 8)
        } else if remaining >= 4 {
            a = UInt64(cursor.littleEndian(UInt32.self, at: 0))
            b = UInt64(cursor.littleEndian(UInt32.self, at: remaining &- 4))
        } else if remaining > 0 {
            a =
                UInt64(cursor.littleEndian(UInt8.self, at: 0))
                | UInt64(cursor.littleEndian(UInt8.self, at: remaining &>> 1)) &<< 8
                | UInt64(cursor.littleEndian(UInt8.self, at: remaining &- 1)) &<< 16
        }
        let length = UInt64(truncatingIfNeeded: count) &* XXH64.prime3
        return Self.folded(Self.mix(a ^ XXH64.prime2, b ^ state ^ length))
    }

    /// A 32-bit hash of the two halves of a UUID.
    @inline(__always)
    func hash(_ high: UInt64, _ low: UInt64) -> UInt32 {
        Self.folded(Self.mix(high ^ self.seed, low ^ XXH64.prime1))
    }

    @inline(__always)
    private static func folded(_ hash: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: hash ^ (hash &>> 32))
    }

    /// Whether `count` bytes at both places are the same.
    @inline(__always)
    static func areEqual(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        if count >= 8 {
            var offset = 0
            let last = count &- 8
            while offset < last {
                if a.littleEndian(UInt64.self, at: offset) != b.littleEndian(UInt64.self, at: offset) {
                    return false
                }
                offset &+= 8
            }
            return a.littleEndian(UInt64.self, at: last) == b.littleEndian(UInt64.self, at: last)
        }
        if count >= 4 {
            let last = count &- 4
            return a.littleEndian(UInt32.self, at: 0) == b.littleEndian(UInt32.self, at: 0)
                && a.littleEndian(UInt32.self, at: last) == b.littleEndian(UInt32.self, at: last)
        }
        for offset in 0..<max(count, 0)
        where a.littleEndian(UInt8.self, at: offset) != b.littleEndian(UInt8.self, at: offset) {
            return false
        }
        return true
    }

    /// How many leading bytes are the same, at most `limit`.
    @inline(__always)
    static func commonPrefix(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, atMost limit: Int) -> Int {
        var offset = 0
        while offset &+ 8 <= limit {
            let difference =
                a.littleEndian(UInt64.self, at: offset) ^ b.littleEndian(UInt64.self, at: offset)
            if difference != 0 { return offset &+ (difference.trailingZeroBitCount &>> 3) }
            offset &+= 8
        }
        while offset < limit,
            a.littleEndian(UInt8.self, at: offset) == b.littleEndian(UInt8.self, at: offset)
        {
            offset &+= 1
        }
        return offset
    }
}
