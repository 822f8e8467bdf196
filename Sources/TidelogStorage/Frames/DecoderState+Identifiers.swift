extension DecoderState {
    mutating func readIDs() throws(StorageError) {
        var reader = try self.reader(.idShapes)
        try self.readIdentifiers(
            into: self.ids, count: self.count, &reader, bytes: .idBytes, uses: nil)
        guard reader.isComplete else { throw self.damaged("it has more or fewer ids than events") }
    }

    /// Reads a list of `count` identifiers.
    ///
    /// - Parameter uses: for each entry the event that has it first; nil for the event ids themselves, among
    ///   which there are no references.
    mutating func readIdentifiers(
        into list: UnsafeMutablePointer<DecodedIdentifiers>, count: Int,
        _ reader: inout ByteReader, bytes chunk: FrameFormat.Chunk, uses: UnsafePointer<UInt32>?
    ) throws(StorageError) {
        typealias Tag = FrameFormat.IdentifierTag
        list.pointee.entries.resize(count)
        list.pointee.texts.bytes.count = 0
        list.pointee.texts.ranges.count = 0
        list.pointee.texts.strings.removeAll(keepingCapacity: true)
        let counts = try self.readTags(into: list, count: count, &reader, chunk)
        guard uses != nil || counts.references == 0 else {
            throw self.damaged("an event id refers to another")
        }
        let bytes = try self.chunk(chunk)
        let planes = counts.uuids * 16
        guard bytes.count == planes + counts.timeOrdered * 9 + (counts.timeOrdered + 3) / 4 else {
            throw self.damaged("\(chunk) has \(bytes.count) bytes, which do not fit its identifiers")
        }
        let tags = UnsafePointer(list.pointee.tags.base)
        let entries = list.pointee.entries.base
        if counts.uuids > 0, let start = bytes.baseAddress {
            var offset = 0
            for index in 0..<count where tags[index] == Tag.uuid {
                entries[index] = IdentifierEntry(
                    high: start.littleEndian(UInt64.self, at: offset).byteSwapped,
                    low: start.littleEndian(UInt64.self, at: offset &+ 8).byteSwapped)
                offset &+= 16
            }
        }
        self.values.resize(count)
        if counts.timeOrdered > 0, let start = bytes.baseAddress {
            guard
                Self.readTimeOrdered(
                    entries, tags, count, counts.timeOrdered, start + planes, &reader,
                    self.timestamps.base, uses, self.values.base)
            else { throw self.damaged("\(chunk) has UUIDs of an impossible time") }
        }
        if counts.references > 0, let uses {
            NumberList.read(&reader, counts.references, into: self.values.base)
            try self.readReferences(into: list, count: count, &reader, uses: uses)
        }
        try self.readIdentifierTexts(into: list, count: count, texts: counts.texts, &reader)
    }

    private struct TagCounts {
        var uuids = 0
        var timeOrdered = 0
        var references = 0
        var texts = 0
    }

    /// Reads the tags, one for all or one each, and writes one each.
    private mutating func readTags(
        into list: UnsafeMutablePointer<DecodedIdentifiers>, count: Int,
        _ reader: inout ByteReader, _ chunk: FrameFormat.Chunk
    ) throws(StorageError) -> TagCounts {
        typealias Tag = FrameFormat.IdentifierTag
        list.pointee.tags.resize(count)
        let tags = list.pointee.tags.base
        let uniform = reader.byte()
        if uniform == Tag.mixed {
            guard let source = reader.bytes(count) else { throw self.damaged("\(chunk) lacks its tags") }
            tags.update(from: source, count: count)
        } else {
            tags.update(repeating: uniform, count: count)
        }
        var tally = TagCounts()
        if uniform == Tag.mixed {
            for index in 0..<count {
                tally.uuids &+= tags[index] == Tag.uuid ? 1 : 0
                tally.timeOrdered &+= tags[index] == Tag.timeOrdered ? 1 : 0
                tally.references &+= tags[index] == Tag.reference ? 1 : 0
                tally.texts &+= tags[index] == Tag.text ? 1 : 0
            }
        } else {
            switch uniform {
            case Tag.uuid: tally.uuids = count
            case Tag.timeOrdered: tally.timeOrdered = count
            case Tag.reference: tally.references = count
            case Tag.text: tally.texts = count
            default: break
            }
        }
        guard tally.uuids + tally.timeOrdered + tally.references + tally.texts == count else {
            throw self.damaged("\(chunk) has identifiers of an unknown kind")
        }
        return tally
    }

    /// Puts one UUID of version 7 together again: number `slot` of the `count` whose bits `planes` holds.
    @inline(__always)
    static func timeOrdered(
        _ milliseconds: Int64, planes: UnsafeRawPointer, count: Int, slot: Int
    ) -> IdentifierEntry {
        let low = planes.littleEndian(UInt64.self, at: slot &* 8)
        let middle = planes.littleEndian(UInt8.self, at: count &* 8 &+ slot)
        let last = planes.littleEndian(UInt8.self, at: count &* 9 &+ slot &>> 2)
        let bits = last &>> UInt8(truncatingIfNeeded: (slot & 3) &* 2)
        let high = low &>> 62 | UInt64(middle) &<< 2 | UInt64(bits & 3) &<< 10
        return IdentifierEntry(
            high: UInt64(bitPattern: milliseconds) &<< 16 | 0x7000 | high,
            low: low & (1 &<< 62 &- 1) | 1 &<< 63)
    }

    /// Puts UUIDs of version 7 together again; false if a time is out of range.
    @inline(__always)
    private static func readTimeOrdered(
        _ entries: UnsafeMutablePointer<IdentifierEntry>, _ tags: UnsafePointer<UInt8>, _ count: Int,
        _ timeOrdered: Int, _ planes: UnsafeRawPointer, _ reader: inout ByteReader,
        _ timestamps: UnsafePointer<Int64>, _ uses: UnsafePointer<UInt32>?,
        _ differences: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        let mode = reader.byte()
        guard mode <= 1 else { return false }
        NumberList.read(&reader, timeOrdered, into: differences)
        var previous: Int64 = 0
        var slot = 0
        var union: Int64 = 0
        for index in 0..<count where tags[index] == FrameFormat.IdentifierTag.timeOrdered {
            let difference = Varint.unzigzag(differences[slot])
            let anchor =
                mode == 0 ? floorMilliseconds(timestamps[uses.map { Int($0[index]) } ?? index]) : previous
            let milliseconds = anchor &+ difference
            previous = milliseconds
            union |= milliseconds
            entries[index] = Self.timeOrdered(milliseconds, planes: planes, count: timeOrdered, slot: slot)
            slot &+= 1
        }
        return !reader.isBroken && union >= 0 && union < 1 &<< 48
    }

    /// Reads references to events of this frame, and takes over the ids of those.
    private mutating func readReferences(
        into list: UnsafeMutablePointer<DecodedIdentifiers>, count: Int, _ reader: inout ByteReader,
        uses: UnsafePointer<UInt32>
    ) throws(StorageError) {
        let tags = UnsafePointer(list.pointee.tags.base)
        var slot = 0
        for index in 0..<count where tags[index] == FrameFormat.IdentifierTag.reference {
            let distance = Varint.unzigzag(self.values[slot])
            slot &+= 1
            let event = Int64(uses[index]) &- distance
            guard event >= 0, event < Int64(self.count), !reader.isBroken else {
                throw self.damaged("an identifier refers to an event that is not in it")
            }
            list.pointee.entries[index] = self.ids.pointee.entries[Int(event)]
        }
    }

    /// Reads the texts among the identifiers, and copies those that are referred to.
    private mutating func readIdentifierTexts(
        into list: UnsafeMutablePointer<DecodedIdentifiers>, count: Int, texts: Int,
        _ reader: inout ByteReader
    ) throws(StorageError) {
        let tags = UnsafePointer(list.pointee.tags.base)
        let entries = list.pointee.entries.base
        if texts > 0 {
            try self.readTexts(into: &list.pointee.texts, count: texts, &reader)
            var slot = 0
            for index in 0..<count where tags[index] == FrameFormat.IdentifierTag.text {
                let length = list.pointee.texts.ranges[slot].length
                guard length > 0 else { throw self.damaged("an identifier is empty") }
                entries[index] = IdentifierEntry(
                    high: 0, low: 0, textStart: UInt32(truncatingIfNeeded: slot), textLength: length)
                slot &+= 1
            }
        }
        for index in 0..<count
        where tags[index] == FrameFormat.IdentifierTag.reference && entries[index].textLength > 0 {
            let text = self.ids.pointee.texts.utf8(Int(entries[index].textStart))
            self.textBytes += text.count
            guard self.textBytes <= FrameFormat.maximumTextBytes else {
                throw self.damaged("its texts exceed \(FrameFormat.maximumTextBytes) bytes")
            }
            entries[index].textStart = UInt32(truncatingIfNeeded: list.pointee.texts.ranges.count)
            list.pointee.texts.ranges.append(
                DecodedTexts.Range(
                    start: UInt32(truncatingIfNeeded: list.pointee.texts.bytes.count),
                    length: UInt32(truncatingIfNeeded: text.count)))
            list.pointee.texts.bytes.append(text)
        }
    }
}
