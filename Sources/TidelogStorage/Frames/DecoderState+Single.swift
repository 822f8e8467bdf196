/// One event of a frame, without unpacking the others: every column is read in place, and of the body only
/// the group that holds the event is decompressed.
///
/// The checksums were checked before, as for a whole frame, and every number is checked against what is
/// there; that the parts which are not looked at hold together is not.
extension DecoderState {
    /// Whether single events can be read in place; otherwise the columns must be unpacked.
    var allowsSingleReads: Bool { self.layout != FrameFormat.Layout.apart }

    /// The event at `index`.
    mutating func single(_ index: Int) throws(StorageError) -> PlacedRecord {
        let position =
            self.header.isSparse
            ? self.positions[index] : self.header.firstPosition &+ UInt64(truncatingIfNeeded: index)
        let streamCode = try self.singleCode(.stream, index)
        let timestamp = try self.singleTimestamp(index)
        let (metadata, payload) = try self.singleBody(index)
        let record = EventRecord(
            id: try self.singleID(index, timestamp),
            type: try self.singleText(.type, try self.singleCode(.type, index)) ?? "",
            stream: try self.singleText(.stream, streamCode), timestamp: timestamp,
            source: try self.singleText(.source, try self.singleCode(.source, index)),
            contentType: try self.singleText(.contentType, try self.singleCode(.contentType, index)),
            tenant: try self.singleText(.tenant, try self.singleCode(.tenant, index)),
            correlation: try self.singleIdentifier(.correlation, index),
            causation: try self.singleIdentifier(.causation, index),
            schemaVersion: try self.singleSchemaVersion(index), metadata: metadata, payload: payload)
        guard !record.type.isEmpty else { throw self.damaged("an event has no type") }
        return PlacedRecord(
            position: position, revision: try self.singleRevision(index, streamCode), record: record)
    }

    // MARK: Codes and texts

    /// What is known of a column before its values: how many, and whether an event has none.
    private struct ColumnHead {
        var reader: ByteReader
        var distinct = 0
        var hasNone = true
        var codes: FrameFormat.Chunk

        /// Whether each event has a code of its own.
        var hasCodes: Bool { self.distinct > 1 || self.distinct == 1 && self.hasNone }
    }

    private mutating func head(_ column: FrameColumn) throws(StorageError) -> ColumnHead {
        let chunks = Self.chunks(column)
        var head = ColumnHead(reader: try self.reader(chunks.values), codes: chunks.codes)
        if head.reader.remaining > 0 {
            let distinct = head.reader.varint()
            guard distinct > 1, distinct &>> 1 <= UInt64(self.count) else {
                throw self.damaged("\(column) has no values, or more than there are events")
            }
            head.distinct = Int(distinct &>> 1)
            head.hasNone = distinct & 1 != 0
        }
        return head
    }

    /// The code of an event's value; 0 for none.
    mutating func singleCode(_ column: FrameColumn, _ index: Int) throws(StorageError) -> Int {
        let head = try self.head(column)
        guard head.hasCodes else { return head.distinct }
        // Each event has a value of its own.
        if head.distinct == self.count, !head.hasNone { return index + 1 }
        var reader = try self.reader(head.codes)
        var list = NumberListReader(&reader, self.count)
        let kept = list.number(index)
        let none: UInt64 = head.hasNone ? 1 : 0
        if kept == 1, none == 1, !list.isBroken { return 0 }
        let next = UInt64(list.zeros(0..<index)) &+ 1
        let code = kept == 0 ? next : next &+ none &- kept
        guard !list.isBroken, code >= 1, code <= UInt64(head.distinct) else {
            throw self.damaged("\(column) has codes without values")
        }
        return Int(code)
    }

    /// The codes of all events up to `end`, in `codes` of the column.
    private mutating func codes(_ column: FrameColumn, upTo end: Int) throws(StorageError) -> Numbers<UInt32>
    {
        let head = try self.head(column)
        var codes = Numbers<UInt32>(capacity: end)
        codes.resize(end)
        guard head.hasCodes else {
            codes.base.update(repeating: UInt32(truncatingIfNeeded: head.distinct), count: end)
            return codes
        }
        var reader = try self.reader(head.codes)
        var list = NumberListReader(&reader, self.count)
        let none: UInt64 = head.hasNone ? 1 : 0
        var next: UInt64 = 1
        var place = 0
        let base = codes.base
        list.forEach(0..<end) { kept in
            let isNone = kept == 1 && none == 1
            let code = isNone ? 0 : kept == 0 ? next : next &+ none &- kept
            base[place] = UInt32(truncatingIfNeeded: code)
            if kept == 0 { next &+= 1 }
            place &+= 1
        }
        guard !list.isBroken else { throw self.damaged("\(column) has codes without values") }
        return codes
    }

    private mutating func singleText(_ column: FrameColumn, _ code: Int) throws(StorageError) -> String? {
        if code == 0 { return nil }
        var head = try self.head(column)
        guard
            let list = TextList(&head.reader, head.distinct, scratch: &self.textNumbers),
            let text = list.text(code - 1)
        else { throw self.damaged("\(column) has a text that shares more than there is, or is not UTF-8") }
        return text
    }

    // MARK: Numbers

    mutating func singleTimestamp(_ index: Int) throws(StorageError) -> Int64 {
        var reader = try self.reader(.timestamps)
        let unit = Int(reader.byte())
        guard unit < FrameFormat.timestampUnits.count else {
            throw self.damaged("its timestamps have an unknown unit")
        }
        var list = NumberListReader(&reader, self.count)
        var sum: Int64 = 0
        list.forEach(0..<index + 1) { sum &+= Varint.unzigzag($0) }
        let timestamp = self.header.minTimestamp &+ sum &* FrameFormat.timestampUnits[unit]
        guard
            !list.isBroken, timestamp >= self.header.minTimestamp, timestamp <= self.header.maxTimestamp
        else { throw self.damaged("its timestamps are not those that its header claims") }
        return timestamp
    }

    private mutating func singleSchemaVersion(_ index: Int) throws(StorageError) -> UInt32 {
        var reader = try self.reader(.schemaVersions)
        if reader.remaining == 0 { return 1 }
        var list = NumberListReader(&reader, self.count)
        let version = list.number(index)
        guard !list.isBroken, version <= UInt64(UInt32.max) else {
            throw self.damaged("its schema versions do not add up")
        }
        return UInt32(version)
    }

    private mutating func singleRevision(_ index: Int, _ code: Int) throws(StorageError) -> UInt64? {
        if code == 0 { return nil }
        let streams = try self.head(.stream)
        var reader = try self.reader(.revisions)
        guard self.header.hasPlacedRevisions, reader.byte() == 0 else {
            // A frame of the log's head, or one with gaps, which only compaction and truncation make.
            try self.require(.revisions)
            return self.revisions[index]
        }
        var firsts = NumberListReader(&reader, streams.distinct)
        var revision = firsts.number(code - 1)
        if streams.distinct < self.count {
            let codes = try self.codes(.stream, upTo: index)
            var before: UInt64 = 0
            for event in 0..<index { before &+= codes[event] == UInt32(truncatingIfNeeded: code) ? 1 : 0 }
            let (sum, overflow) = revision.addingReportingOverflow(before)
            revision = overflow ? .max : sum
        }
        guard !firsts.isBroken, revision < .max else { throw self.damaged("a revision is out of range") }
        return revision
    }

    // MARK: Identifiers

    private mutating func singleIdentifier(
        _ column: FrameColumn, _ index: Int
    ) throws(StorageError) -> Identifier? {
        if try self.singleCode(column, index) == 0 { return nil }
        // It may refer to the id of any event of the frame.
        try self.require(.column(column))
        return self.identifier(column, index)
    }

    private mutating func singleID(_ index: Int, _ timestamp: Int64) throws(StorageError) -> Identifier {
        typealias Tag = FrameFormat.IdentifierTag
        var reader = try self.reader(.idShapes)
        let tag = reader.byte()
        let bytes = try self.chunk(.idBytes)
        guard let start = bytes.baseAddress, tag == Tag.uuid || tag == Tag.timeOrdered else {
            try self.require(.ids)
            return self.ids.pointee.identifier(index)
        }
        let count = self.count
        if tag == Tag.uuid {
            guard bytes.count == count * 16, reader.isComplete else {
                throw self.damaged("its event ids do not add up")
            }
            return .uuid(
                start.littleEndian(UInt64.self, at: index &* 16).byteSwapped,
                start.littleEndian(UInt64.self, at: index &* 16 &+ 8).byteSwapped)
        }
        let mode = reader.byte()
        var list = NumberListReader(&reader, count)
        var milliseconds: Int64 = 0
        if mode == 0 {
            milliseconds = floorMilliseconds(timestamp) &+ Varint.unzigzag(list.number(index))
        } else {
            list.forEach(0..<index + 1) { milliseconds &+= Varint.unzigzag($0) }
        }
        guard
            mode <= 1, !list.isBroken, milliseconds >= 0, milliseconds < 1 &<< 48,
            bytes.count == count * 9 + (count + 3) / 4
        else { throw self.damaged("its event ids are of an impossible time, or do not add up") }
        let entry = Self.timeOrdered(milliseconds, planes: start, count: count, slot: index)
        return .uuid(entry.high, entry.low)
    }

    // MARK: Metadata and payload

    /// Where a group's events begin and end.
    private mutating func group(of index: Int) throws(StorageError) -> (number: Int, events: Range<Int>) {
        if self.layout == FrameFormat.Layout.together { return (0, 0..<self.count) }
        guard var reader = self.groupMap else { throw self.damaged("it has no groups") }
        var first = 0
        for number in 0..<self.groups.count {
            let left = self.count - first
            let count = number < self.groups.count - 1 ? reader.size(atMost: left) : left
            guard count > 0, !reader.isBroken else { throw self.damaged("group \(number) has no events") }
            if index < first + count { return (number, first..<first + count) }
            first += count
        }
        throw self.damaged("an event is in no group")
    }

    /// Copies of an event's metadata and payload, which share an array.
    private mutating func singleBody(
        _ index: Int
    ) throws(StorageError) -> (metadata: ArraySlice<UInt8>, payload: ArraySlice<UInt8>) {
        let (number, events) = try self.group(of: index)
        var metadataReader = try self.reader(.metadataLengths)
        var payloadReader = try self.reader(.payloadLengths)
        var metadata = NumberListReader(&metadataReader, self.count)
        var payloads = NumberListReader(&payloadReader, self.count)
        let metadataBefore = Int(truncatingIfNeeded: metadata.sum(events.lowerBound..<index))
        let metadataCount = Int(truncatingIfNeeded: metadata.number(index))
        let metadataAfter = Int(truncatingIfNeeded: metadata.sum(index + 1..<events.upperBound))
        let payloadBefore = Int(truncatingIfNeeded: payloads.sum(events.lowerBound..<index))
        let payloadCount = Int(truncatingIfNeeded: payloads.number(index))
        let plainCount = self.groups[number].plainCount
        let metadataTotal = metadataBefore &+ metadataCount &+ metadataAfter
        let isInside =
            [metadataBefore, metadataCount, metadataAfter, payloadBefore, payloadCount].allSatisfy {
                $0 >= 0 && $0 <= plainCount
            }
        guard
            !metadata.isBroken, !payloads.isBroken, isInside,
            metadataTotal &+ payloadBefore &+ payloadCount <= plainCount
        else { throw self.damaged("group \(number) is not as long as its events") }
        if metadataCount + payloadCount == 0 { return ([], []) }
        if !self.groups[number].isUnpacked { try self.unpackGroup(number) }
        let base = self.body.base + self.groups[number].plainStart
        let both = [UInt8](unsafeUninitializedCapacity: metadataCount + payloadCount) { target, count in
            if let start = target.baseAddress {
                start.update(from: base + metadataBefore, count: metadataCount)
                (start + metadataCount).update(
                    from: base + metadataTotal + payloadBefore, count: payloadCount)
            }
            count = metadataCount + payloadCount
        }
        return (both[..<metadataCount], both[metadataCount...])
    }

    // MARK: Streams

    /// Adds the events of one stream to `target`, ascending; the stream's other columns stay packed.
    mutating func events(ofStream name: UnsafeRawBufferPointer, into target: inout [Int]) throws(StorageError)
    {
        var head = try self.head(.stream)
        guard head.distinct > 0 else { return }
        guard let list = TextList(&head.reader, head.distinct, scratch: &self.textNumbers) else {
            throw self.damaged("a list of texts is cut off, or of an unknown kind")
        }
        guard let found = list.index(of: name, head.distinct) else { return }
        if head.distinct == self.count, !head.hasNone { return target.append(found) }
        let codes = try self.codes(.stream, upTo: self.count)
        for event in 0..<self.count where codes[event] == UInt32(truncatingIfNeeded: found + 1) {
            target.append(event)
        }
    }
}

extension FrameDecoder {
    /// An event as an owned record; the other events are not unpacked where the frame allows it.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`.
    package func single(_ index: Int) throws(StorageError) -> PlacedRecord {
        precondition(index >= 0 && index < self.state.pointee.count, "the event is in the frame")
        if self.state.pointee.allowsSingleReads { return try self.state.pointee.single(index) }
        try self.require(.all)
        return PlacedRecord(
            position: self.position(index), revision: self.revision(index), record: try self.record(index))
    }

    /// The events of one stream, ascending, without unpacking anything but the streams' column.
    func events(ofStream name: String) throws(StorageError) -> [Int] {
        var name = name
        var events: [Int] = []
        var failure: StorageError?
        name.withUTF8 { name in
            do throws(StorageError) {
                try self.state.pointee.events(ofStream: UnsafeRawBufferPointer(name), into: &events)
            } catch { failure = error }
        }
        if let failure { throw failure }
        return events
    }
}
