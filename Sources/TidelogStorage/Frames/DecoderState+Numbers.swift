extension DecoderState {
    mutating func readTimestamps() throws(StorageError) {
        var reader = try self.reader(.timestamps)
        let count = self.count
        self.timestamps.resize(count)
        let unitIndex = Int(reader.byte())
        guard unitIndex < FrameFormat.timestampUnits.count else {
            throw self.damaged("its timestamps have an unknown unit")
        }
        let unit = FrameFormat.timestampUnits[unitIndex]
        let target = self.timestamps.base
        var (smallest, largest) = (Int64.max, Int64.min)
        var value = self.header.minTimestamp
        for index in 0..<count {
            value &+= Varint.unzigzag(reader.varint()) &* unit
            target[index] = value
            smallest = min(smallest, value)
            largest = max(largest, value)
        }
        guard
            reader.isComplete, smallest == self.header.minTimestamp, largest == self.header.maxTimestamp
        else { throw self.damaged("its timestamps are not those that its header claims") }
    }

    /// Reads the positions of a frame with gaps.
    mutating func readPositions() throws(StorageError) {
        var reader = try self.reader(.positions)
        self.positions.resize(self.count)
        var position = self.header.firstPosition
        self.positions[0] = position
        for index in 1..<max(self.count, 1) {
            let (next, overflow) = position.addingReportingOverflow(reader.varint())
            guard !overflow, next < self.header.lastPosition else {
                throw self.damaged("its positions go beyond its last")
            }
            position = next &+ 1
            self.positions[index] = position
        }
        guard reader.isComplete, position == self.header.lastPosition else {
            throw self.damaged("its positions do not end at its last")
        }
    }

    mutating func readRevisions() throws(StorageError) {
        let column = self.columns + FrameColumn.stream.rawValue
        let distinct = column.pointee.distinctCount
        let none = column.pointee.noneIndex
        let streams = none >= 0 ? distinct - 1 : distinct
        self.nextRevisions.resize(distinct)
        var reader = try self.reader(.revisions)
        var hasGaps = false
        if self.header.hasPlacedRevisions {
            let mode = reader.byte()
            guard mode <= 1 else { throw self.damaged("its revisions are of an unknown kind") }
            hasGaps = mode == 1
            for index in 0..<distinct {
                self.nextRevisions[index] = index == none ? 0 : reader.varint()
            }
        } else {
            guard self.header.revisionCount == streams else {
                throw self.damaged("its revision table is not that of its \(streams) streams")
            }
            self.readRevisionTable(distinct, none: none)
        }
        try self.spreadRevisions(&reader, hasGaps: hasGaps, none: none, codes: column.pointee.codes.base)
        guard reader.isComplete else { throw self.damaged("it has more or fewer revisions than events") }
    }

    private mutating func readRevisionTable(_ distinct: Int, none: Int) {
        let table = UnsafeRawPointer(self.frame.base + FrameFormat.headerBytes)
        var slot = 0
        for index in 0..<distinct {
            guard index != none else {
                self.nextRevisions[index] = 0
                continue
            }
            switch self.header.revisionWidth {
            case 1: self.nextRevisions[index] = UInt64(table.littleEndian(UInt8.self, at: slot))
            case 2: self.nextRevisions[index] = UInt64(table.littleEndian(UInt16.self, at: slot &* 2))
            case 4: self.nextRevisions[index] = UInt64(table.littleEndian(UInt32.self, at: slot &* 4))
            case 8: self.nextRevisions[index] = table.littleEndian(UInt64.self, at: slot &* 8)
            default: self.nextRevisions[index] = 0
            }
            slot &+= 1
        }
    }

    /// Gives each event the next revision of its stream.
    private mutating func spreadRevisions(
        _ reader: inout ByteReader, hasGaps: Bool, none: Int, codes: UnsafePointer<UInt32>
    ) throws(StorageError) {
        let count = self.count
        self.revisions.resize(count)
        let target = self.revisions.base
        let next = self.nextRevisions.base
        let uses = (self.columns + FrameColumn.stream.rawValue).pointee.firstUses.base
        var isInvalid = false
        for index in 0..<count {
            let code = Int(codes[index])
            var revision = next[code]
            if hasGaps, code != none, uses[code] != UInt32(truncatingIfNeeded: index) {
                revision &+= UInt64(bitPattern: Varint.unzigzag(reader.varint()))
            }
            target[index] = revision
            isInvalid = isInvalid || revision == .max
            next[code] = revision &+ 1
        }
        if isInvalid { throw self.damaged("a revision is out of range") }
    }

    mutating func readSchemaVersions() throws(StorageError) {
        var reader = try self.reader(.schemaVersions)
        self.schemaVersions.resize(self.count)
        if reader.remaining == 0 {
            self.schemaVersions.base.update(repeating: 1, count: self.count)
            return
        }
        Self.readNumbers(&reader, self.count, self.schemaVersions.base)
        guard reader.isComplete else { throw self.damaged("its schema versions do not add up") }
    }

    /// Reads a column of numbers: one for all, or one each.
    static func readNumbers(
        _ reader: inout ByteReader, _ count: Int, _ target: UnsafeMutablePointer<UInt32>
    ) {
        let mode = reader.byte()
        if mode == 0 {
            let value = reader.size(atMost: Int(UInt32.max))
            target.update(repeating: UInt32(truncatingIfNeeded: value), count: count)
            return
        }
        if mode != 1 { reader.fail() }
        var local = reader
        var union: UInt64 = 0
        for index in 0..<count {
            let value = local.varint()
            union |= value
            target[index] = UInt32(truncatingIfNeeded: value)
        }
        if union > UInt64(UInt32.max) { local.fail() }
        reader = local
    }
}
