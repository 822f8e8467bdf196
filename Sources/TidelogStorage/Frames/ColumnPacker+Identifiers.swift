extension ColumnPacker {
    /// Finds out which distinct identifiers of `interner` are ids of events of this frame.
    ///
    /// - Parameter table: all ids of the frame, by their index.
    mutating func findReferences(
        _ interner: borrowing IdentifierInterner, ids: borrowing IdentifierList, table: borrowing SlotTable
    ) {
        let distinct = interner.distinctCount
        self.references.resize(distinct)
        let none = interner.noneCode.map { Int($0) } ?? -1
        for index in 0..<distinct {
            self.references[index] = -1
            if index == none { continue }
            let finding = table.find(interner.list.hash(at: index)) {
                ids.matches(Int($0), interner.list, index)
            }
            if case .code(let event) = finding {
                self.references[index] = Int32(truncatingIfNeeded: event)
            }
        }
    }

    /// The shapes of a column of distinct identifiers; nothing if all events have none.
    mutating func identifierShapes(_ interner: borrowing IdentifierInterner, timestamps: UnsafePointer<Int64>)
    {
        let distinct = interner.distinctCount
        let none = interner.noneCode.map { Int($0) } ?? -1
        if distinct == 1, none == 0 { return }
        self.plain.appendVarint(UInt64(truncatingIfNeeded: distinct))
        self.plain.appendVarint(UInt64(truncatingIfNeeded: none &+ 1))
        self.shapes(
            interner.list, none: none, timestamps: timestamps, uses: interner.firstUses.base,
            references: self.references.base)
    }

    /// The shapes of the event ids.
    mutating func idShapes(_ list: borrowing IdentifierList, timestamps: UnsafePointer<Int64>) {
        self.shapes(list, none: -1, timestamps: timestamps, uses: nil, references: nil)
    }

    /// What of a list of identifiers compresses well: tags, milliseconds, references, texts.
    private mutating func shapes(
        _ list: borrowing IdentifierList, none: Int, timestamps: UnsafePointer<Int64>,
        uses: UnsafePointer<UInt32>?, references: UnsafePointer<Int32>?
    ) {
        let count = list.entries.count
        let entries = list.entries.base
        @inline(__always)
        func tag(_ index: Int) -> UInt8 {
            if let references, references[index] >= 0 { return FrameFormat.IdentifierTag.reference }
            if entries[index].textLength > 0 { return FrameFormat.IdentifierTag.text }
            return entries[index].isTimeOrdered
                ? FrameFormat.IdentifierTag.timeOrdered : FrameFormat.IdentifierTag.uuid
        }
        var kinds: UInt8 = 0
        for index in 0..<count where index != none { kinds |= 1 &<< tag(index) }
        if kinds & (kinds &- 1) == 0 {
            self.plain.append(UInt8(truncatingIfNeeded: kinds.trailingZeroBitCount))
        } else {
            self.plain.append(FrameFormat.IdentifierTag.mixed)
            for index in 0..<count where index != none { self.plain.append(tag(index)) }
        }
        if kinds & (1 &<< FrameFormat.IdentifierTag.timeOrdered) != 0 {
            self.milliseconds(
                count, timestamps, uses,
                { index in
                    guard index != none, tag(index) == FrameFormat.IdentifierTag.timeOrdered else {
                        return nil
                    }
                    return Int64(bitPattern: entries[index].high &>> 16)
                })
        }
        if let references, let uses, kinds & (1 &<< FrameFormat.IdentifierTag.reference) != 0 {
            for index in 0..<count where references[index] >= 0 && index != none {
                self.plain.appendVarint(Varint.zigzag(Int64(uses[index]) &- Int64(references[index])))
            }
        }
        if kinds & (1 &<< FrameFormat.IdentifierTag.text) != 0 {
            var texts = 0
            for index in 0..<count where index != none && tag(index) == FrameFormat.IdentifierTag.text {
                texts &+= 1
            }
            let bytes = UnsafeRawPointer(list.texts.base)
            self.texts(count, texts, list.texts.count) { index in
                guard index != none, tag(index) == FrameFormat.IdentifierTag.text else { return nil }
                return UnsafeRawBufferPointer(
                    start: bytes + Int(entries[index].textStart), count: Int(entries[index].textLength))
            }
        }
    }

    /// The milliseconds of UUIDs of version 7: as differences from the event's timestamp or from the UUID
    /// before, whichever are smaller.
    @inline(__always)
    private mutating func milliseconds(
        _ count: Int, _ timestamps: UnsafePointer<Int64>, _ uses: UnsafePointer<UInt32>?,
        _ milliseconds: (Int) -> Int64?
    ) {
        @inline(__always)
        func anchor(_ index: Int) -> Int64 {
            floorMilliseconds(timestamps[uses.map { Int($0[index]) } ?? index])
        }
        var costs: (timestamp: UInt64, previous: UInt64) = (0, 0)
        var previous: Int64 = 0
        for index in 0..<count {
            guard let value = milliseconds(index) else { continue }
            if previous == 0 { previous = value }
            costs.timestamp &+= (value &- anchor(index)).magnitude
            costs.previous &+= (value &- previous).magnitude
            previous = value
        }
        let followsTimestamps = costs.timestamp <= costs.previous
        self.plain.append(followsTimestamps ? 0 : 1)
        self.plain.reserve(self.plain.count &+ count &* Varint.maximumBytes)
        var cursor = self.plain.base + self.plain.count
        previous = 0
        for index in 0..<count {
            guard let value = milliseconds(index) else { continue }
            let difference = value &- (followsTimestamps ? anchor(index) : previous)
            Varint.write(Varint.zigzag(difference), at: &cursor)
            previous = value
        }
        self.plain.count = cursor - self.plain.base
    }

    /// What of a list of identifiers hardly compresses: the bytes of UUIDs, and in planes the random bits of
    /// those of version 7.
    ///
    /// - Parameter references: for each entry the event that it refers to, or -1; such entries have no bytes.
    mutating func identifierBytes(
        _ list: borrowing IdentifierList, none: UInt32?, references: UnsafePointer<Int32>?
    ) {
        let count = list.entries.count
        let entries = list.entries.base
        let none = none.map { Int($0) } ?? -1
        self.plain.reserve(count &* 16)
        let start = UnsafeMutableRawPointer(self.plain.base)
        var offset = 0
        var timeOrdered = 0
        for index in 0..<count {
            if index == none || entries[index].textLength > 0 { continue }
            if let references, references[index] >= 0 { continue }
            if entries[index].isTimeOrdered {
                timeOrdered &+= 1
                continue
            }
            start.store(entries[index].high.byteSwapped, at: offset)
            start.store(entries[index].low.byteSwapped, at: offset &+ 8)
            offset &+= 16
        }
        self.plain.count = offset
        guard timeOrdered > 0 else { return }
        let middle = offset &+ timeOrdered &* 8
        let last = middle &+ timeOrdered
        self.plain.resize(last &+ (timeOrdered &+ 3) / 4)
        (start + last).initializeMemory(as: UInt8.self, repeating: 0, count: (timeOrdered &+ 3) / 4)
        var slot = 0
        for index in 0..<count where index != none && entries[index].isTimeOrdered {
            if let references, references[index] >= 0 { continue }
            let (high, low) = (entries[index].high & 0xfff, entries[index].low)
            start.store((low & (1 &<< 62 &- 1)) | high &<< 62, at: offset &+ slot &* 8)
            start.store(UInt8(truncatingIfNeeded: high &>> 2), at: middle &+ slot)
            let bits = UInt8(truncatingIfNeeded: (high &>> 10) &<< UInt64((slot & 3) &* 2))
            self.plain.base[last &+ slot / 4] |= bits
            slot &+= 1
        }
    }

    /// Whether the bytes of `plain` look so random that compressing them is a waste of time.
    var looksRandom: Bool {
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
