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
        self.values.resize(count)
        let values = self.values.base
        NumberList.read(&reader, count, into: values)
        let target = self.timestamps.base
        var (smallest, largest) = (Int64.max, Int64.min)
        var value = self.header.minTimestamp
        for index in 0..<count {
            value &+= Varint.unzigzag(values[index]) &* unit
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
        self.values.resize(self.count)
        if self.count > 1 { NumberList.read(&reader, self.count - 1, into: self.values.base) }
        var position = self.header.firstPosition
        self.positions[0] = position
        for index in 1..<max(self.count, 1) {
            let (next, overflow) = position.addingReportingOverflow(self.values[index - 1])
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
        let streams = column.pointee.distinctCount
        // The first is for the events without a stream.
        self.nextRevisions.resize(streams + 1)
        self.nextRevisions[0] = 0
        var reader = try self.reader(.revisions)
        var hasGaps = false
        if self.header.hasPlacedRevisions {
            if streams > 0 {
                let mode = reader.byte()
                guard mode <= 1 else { throw self.damaged("its revisions are of an unknown kind") }
                hasGaps = mode == 1
                NumberList.read(&reader, streams, into: self.nextRevisions.base + 1)
            }
        } else {
            guard self.header.revisionCount == streams else {
                throw self.damaged("its revision table is not that of its \(streams) streams")
            }
            self.readRevisionTable(streams)
        }
        if hasGaps {
            let codes = column.pointee.codes.base
            var placed = 0
            for index in 0..<self.count { placed &+= codes[index] == 0 ? 0 : 1 }
            self.values.resize(self.count)
            if placed > streams { NumberList.read(&reader, placed - streams, into: self.values.base) }
        }
        guard reader.isComplete else { throw self.damaged("it has more or fewer revisions than events") }
        try self.spreadRevisions(
            hasGaps: hasGaps, codes: column.pointee.codes.base, uses: column.pointee.firstUses.base)
    }

    private mutating func readRevisionTable(_ streams: Int) {
        let table = UnsafeRawPointer(self.source + FrameFormat.headerBytes)
        let target = self.nextRevisions.base + 1
        switch self.header.revisionWidth {
        case 1: for index in 0..<streams { target[index] = UInt64(table.littleEndian(UInt8.self, at: index)) }
        case 2:
            for index in 0..<streams {
                target[index] = UInt64(table.littleEndian(UInt16.self, at: index &* 2))
            }
        case 4:
            for index in 0..<streams {
                target[index] = UInt64(table.littleEndian(UInt32.self, at: index &* 4))
            }
        case 8:
            for index in 0..<streams { target[index] = table.littleEndian(UInt64.self, at: index &* 8) }
        default: target.update(repeating: 0, count: streams)
        }
    }

    /// Gives each event the next revision of its stream.
    private mutating func spreadRevisions(
        hasGaps: Bool, codes: UnsafePointer<UInt32>, uses: UnsafePointer<UInt32>
    ) throws(StorageError) {
        let count = self.count
        self.revisions.resize(count)
        let target = self.revisions.base
        let next = self.nextRevisions.base
        var isInvalid = false
        var slot = 0
        for index in 0..<count {
            let code = Int(codes[index])
            var revision = next[code]
            if hasGaps, code > 0, uses[code &- 1] != UInt32(truncatingIfNeeded: index) {
                revision &+= UInt64(bitPattern: Varint.unzigzag(self.values[slot]))
                slot &+= 1
            }
            target[index] = revision
            isInvalid = isInvalid || (revision == .max && code > 0)
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
        NumberList.read(&reader, self.count, into: self.schemaVersions.base)
        guard reader.isComplete else { throw self.damaged("its schema versions do not add up") }
    }
}
