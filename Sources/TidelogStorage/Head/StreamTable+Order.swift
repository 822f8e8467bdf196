import Glibc

extension StreamTable {
    /// The entries in the order of their names' bytes, the order of keys in the head: neighbours share pages.
    ///
    /// What all names have in common is skipped, and the eight bytes behind it decide nearly always, without a
    /// look at the names themselves.
    func entriesInOrder() -> [Int] {
        let shared = self.commonPrefix()
        var keyed = self.entries.indices.map { index in
            (self.entries[index].start.key(behind: shared), Int32(truncatingIfNeeded: index))
        }
        keyed.sort { left, right in
            left.0 != right.0 ? left.0 < right.0 : self.precedes(Int(left.1), Int(right.1))
        }
        return keyed.map { Int($0.1) }
    }

    /// How many of the bytes at their start all names have in common.
    private func commonPrefix() -> Int {
        guard let first = self.entries.first?.start else { return 0 }
        var shared = min(Int(first.nameCount), NameStart.capacity)
        for entry in self.entries where shared > 0 {
            shared = min(shared, first.commonPrefix(with: entry.start))
        }
        return shared
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        let (left, right) = (self.entries[left], self.entries[right])
        for offset in [0, 8, 16] {
            let (leftKey, rightKey) = (left.start.key(behind: offset), right.start.key(behind: offset))
            if leftKey != rightKey { return leftKey < rightKey }
        }
        let order = self.rest(of: left).withUnsafeBytes { leftRest in
            self.rest(of: right).withUnsafeBytes { rightRest -> Int32 in
                guard let leftBase = leftRest.baseAddress, let rightBase = rightRest.baseAddress else {
                    return 0
                }
                return memcmp(leftBase, rightBase, min(leftRest.count, rightRest.count))
            }
        }
        return order != 0 ? order < 0 : left.start.nameCount < right.start.nameCount
    }

    private func rest(of entry: Entry) -> ArraySlice<UInt8> {
        let count = max(0, Int(entry.start.nameCount) - NameStart.capacity)
        return ArraySlice(self.rests[Int(entry.restStart)..<Int(entry.restStart) + count])
    }
}

extension StreamTable.NameStart {
    /// Eight bytes, big-endian, from `offset` on; what is missing counts as zero.
    func key(behind offset: Int) -> UInt64 {
        withUnsafeBytes(of: self.bytes) { bytes in
            if offset + 8 <= bytes.count {
                return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            var key: UInt64 = 0
            for index in offset..<offset + 8 {
                key = key << 8 | (index < bytes.count ? UInt64(bytes[index]) : 0)
            }
            return key
        }
    }

    /// How many bytes this start and `other` have in common.
    func commonPrefix(with other: Self) -> Int {
        let limit = min(Int(self.nameCount), Int(other.nameCount), Self.capacity)
        return withUnsafeBytes(of: self.bytes) { mine in
            withUnsafeBytes(of: other.bytes) { theirs in
                (0..<limit).first { mine[$0] != theirs[$0] } ?? limit
            }
        }
    }
}
