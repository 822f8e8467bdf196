import Glibc

extension StreamTable {
    /// The entries in the order of their names' bytes, the order of keys in the head: neighbours share pages.
    ///
    /// What all names have in common is skipped, and the eight bytes behind it decide nearly always, without a
    /// look at the names themselves.
    func entriesInOrder() -> [Int] {
        self.names.withUnsafeBytes { names in
            let shared = self.commonPrefix(names)
            var keyed = self.entries.indices.map { index in
                (self.key(index, behind: shared, names), Int32(truncatingIfNeeded: index))
            }
            keyed.sort { left, right in
                left.0 != right.0 ? left.0 < right.0 : self.precedes(Int(left.1), Int(right.1), names)
            }
            return keyed.map { Int($0.1) }
        }
    }

    private func commonPrefix(_ names: UnsafeRawBufferPointer) -> Int {
        guard let first = self.entries.first else { return 0 }
        var shared = first.nameCount
        for entry in self.entries where shared > 0 {
            var count = 0
            let limit = min(shared, entry.nameCount)
            while count < limit, names[first.nameStart + count] == names[entry.nameStart + count] {
                count += 1
            }
            shared = count
        }
        return shared
    }

    /// Eight bytes of the name, big-endian; what is missing counts as zero.
    private func key(_ index: Int, behind shared: Int, _ names: UnsafeRawBufferPointer) -> UInt64 {
        let entry = self.entries[index]
        let start = entry.nameStart + shared
        let count = min(8, entry.nameCount - shared)
        if start + 8 <= names.count {
            let bytes = UInt64(bigEndian: names.loadUnaligned(fromByteOffset: start, as: UInt64.self))
            return count == 8 ? bytes : bytes & ~(UInt64.max >> UInt64(count * 8))
        }
        var key: UInt64 = 0
        for offset in 0..<8 {
            key = key << 8 | (offset < count ? UInt64(names[start + offset]) : 0)
        }
        return key
    }

    private func precedes(_ left: Int, _ right: Int, _ names: UnsafeRawBufferPointer) -> Bool {
        let (left, right) = (self.entries[left], self.entries[right])
        guard let base = names.baseAddress else { return false }
        let order = memcmp(
            base + left.nameStart, base + right.nameStart, min(left.nameCount, right.nameCount))
        return order != 0 ? order < 0 : left.nameCount < right.nameCount
    }
}
