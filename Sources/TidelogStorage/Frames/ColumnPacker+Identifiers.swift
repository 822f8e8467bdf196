extension ColumnPacker {
    /// Finds out which distinct identifiers of `interner` are ids of events of this frame.
    ///
    /// - Parameter table: all ids of the frame, by their index.
    mutating func findReferences(
        _ interner: borrowing IdentifierInterner, ids: borrowing IdentifierList, table: borrowing SlotTable
    ) {
        let distinct = interner.distinctCount
        self.references.resize(distinct)
        for index in 0..<distinct {
            let finding = table.find(interner.list.hash(at: index)) {
                ids.matches(Int($0), interner.list, index)
            }
            if case .code(let event) = finding {
                self.references[index] = Int32(truncatingIfNeeded: event)
            } else {
                self.references[index] = -1
            }
        }
    }

    /// What of a list of identifiers compresses well: tags, milliseconds, references, texts.
    ///
    /// - Parameters:
    ///   - uses: for each identifier the event that has it first; nil for the event ids.
    ///   - references: for each identifier the event that it refers to, or -1; nil for the event ids.
    mutating func identifierShapes(
        _ list: borrowing IdentifierList, timestamps: UnsafePointer<Int64>,
        uses: UnsafePointer<UInt32>?, references: UnsafePointer<Int32>?
    ) {
        typealias Tag = FrameFormat.IdentifierTag
        let count = list.entries.count
        let entries = list.entries.base
        self.tags.resize(count)
        let tags = self.tags.base
        var kinds: UInt8 = 0
        for index in 0..<count {
            var tag = entries[index].isTimeOrdered ? Tag.timeOrdered : Tag.uuid
            if entries[index].textLength > 0 { tag = Tag.text }
            if let references, references[index] >= 0 { tag = Tag.reference }
            tags[index] = tag
            kinds |= 1 &<< tag
        }
        if kinds & (kinds &- 1) == 0 {
            self.plain.append(UInt8(truncatingIfNeeded: kinds.trailingZeroBitCount))
        } else {
            self.plain.append(Tag.mixed)
            self.plain.append(self.tags.bytes)
            self.isCompressible = true
        }
        if kinds & (1 &<< Tag.timeOrdered) != 0 {
            self.milliseconds(entries, tags, count, timestamps, uses)
        }
        if let references, let uses, kinds & (1 &<< Tag.reference) != 0 {
            self.values.resize(count)
            var slot = 0
            for index in 0..<count where tags[index] == Tag.reference {
                self.values.base[slot] = Varint.zigzag(
                    Int64(uses[index]) &- Int64(references[index]))
                slot &+= 1
            }
            self.list(slot)
        }
        if kinds & (1 &<< Tag.text) != 0 {
            self.identifierTexts(list)
        }
    }

    /// The texts among the identifiers that are no references.
    private mutating func identifierTexts(_ list: borrowing IdentifierList) {
        var indices = Numbers<UInt32>(capacity: list.entries.count)
        for index in 0..<list.entries.count where self.tags[index] == FrameFormat.IdentifierTag.text {
            indices.append(UInt32(truncatingIfNeeded: index))
        }
        let chosen = indices.base
        let entries = list.entries.base
        let bytes = UnsafeRawPointer(list.texts.base)
        self.texts(indices.count, list.texts.count) { slot in
            let entry = entries[Int(chosen[slot])]
            return UnsafeRawBufferPointer(
                start: bytes + Int(entry.textStart), count: Int(entry.textLength))
        }
    }

    /// The milliseconds of UUIDs of version 7: as differences from the event's timestamp or from the UUID
    /// before, whichever are smaller.
    private mutating func milliseconds(
        _ entries: UnsafePointer<IdentifierEntry>, _ tags: UnsafePointer<UInt8>, _ count: Int,
        _ timestamps: UnsafePointer<Int64>, _ uses: UnsafePointer<UInt32>?
    ) {
        @inline(__always)
        func anchor(_ index: Int) -> Int64 {
            floorMilliseconds(timestamps[uses.map { Int($0[index]) } ?? index])
        }
        self.values.resize(count)
        let values = self.values.base
        var slot = 0
        var sizes: (timestamp: Int, previous: Int) = (0, 0)
        var previous: Int64 = 0
        for index in 0..<count where tags[index] == FrameFormat.IdentifierTag.timeOrdered {
            let value = Int64(bitPattern: entries[index].high &>> 16)
            let difference = value &- anchor(index)
            sizes.timestamp &+= Varint.size(Varint.zigzag(difference))
            sizes.previous &+= Varint.size(Varint.zigzag(value &- previous))
            previous = value
            values[slot] = Varint.zigzag(difference)
            slot &+= 1
        }
        let followsTimestamps = sizes.timestamp <= sizes.previous
        if !followsTimestamps {
            slot = 0
            previous = 0
            for index in 0..<count where tags[index] == FrameFormat.IdentifierTag.timeOrdered {
                let value = Int64(bitPattern: entries[index].high &>> 16)
                values[slot] = Varint.zigzag(value &- previous)
                previous = value
                slot &+= 1
            }
        }
        self.plain.append(followsTimestamps ? 0 : 1)
        self.list(slot)
    }

    /// What of a list of identifiers hardly compresses: the bytes of UUIDs, and in planes the random bits of
    /// those of version 7. The shapes have been written just before.
    mutating func identifierBytes(_ list: borrowing IdentifierList) {
        typealias Tag = FrameFormat.IdentifierTag
        let count = list.entries.count
        let entries = list.entries.base
        let tags = self.tags.base
        var uuids = 0
        var timeOrdered = 0
        for index in 0..<count {
            uuids &+= tags[index] == Tag.uuid ? 1 : 0
            timeOrdered &+= tags[index] == Tag.timeOrdered ? 1 : 0
        }
        let words = uuids &* 16
        let middle = words &+ timeOrdered &* 8
        let last = middle &+ timeOrdered
        self.plain.resize(last &+ (timeOrdered &+ 3) / 4)
        defer { self.isCompressible = !self.looksRandom }
        let start = UnsafeMutableRawPointer(self.plain.base)
        (start + last).initializeMemory(as: UInt8.self, repeating: 0, count: (timeOrdered &+ 3) / 4)
        if uuids > 0 {
            var offset = 0
            for index in 0..<count where tags[index] == Tag.uuid {
                start.store(entries[index].high.byteSwapped, at: offset)
                start.store(entries[index].low.byteSwapped, at: offset &+ 8)
                offset &+= 16
            }
        }
        guard timeOrdered > 0 else { return }
        let bits = self.plain.base + last
        var slot = 0
        for index in 0..<count where tags[index] == Tag.timeOrdered {
            let (high, low) = (entries[index].high & 0xfff, entries[index].low)
            start.store((low & (1 &<< 62 &- 1)) | high &<< 62, at: words &+ slot &* 8)
            start.store(UInt8(truncatingIfNeeded: high &>> 2), at: middle &+ slot)
            bits[slot &>> 2] |= UInt8(truncatingIfNeeded: (high &>> 10) &<< UInt64((slot & 3) &* 2))
            slot &+= 1
        }
    }

    /// Whether the bytes of `plain` look so random that compressing them is a waste of time.
    private var looksRandom: Bool {
        let sample = Swift.min(self.plain.count, 512)
        if sample < 512 { return false }
        var seen: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        for index in 0..<sample {
            let byte = self.plain[index]
            let bit: UInt64 = 1 &<< UInt64(byte & 63)
            switch byte &>> 6 {
            case 0: seen.0 |= bit
            case 1: seen.1 |= bit
            case 2: seen.2 |= bit
            default: seen.3 |= bit
            }
        }
        let distinct =
            seen.0.nonzeroBitCount + seen.1.nonzeroBitCount + seen.2.nonzeroBitCount
            + seen.3.nonzeroBitCount
        return distinct > 190
    }
}

/// The whole milliseconds of a number of nanoseconds, rounded down.
@inline(__always)
func floorMilliseconds(_ nanoseconds: Int64) -> Int64 {
    let quotient = nanoseconds / 1_000_000
    return nanoseconds % 1_000_000 < 0 ? quotient &- 1 : quotient
}
