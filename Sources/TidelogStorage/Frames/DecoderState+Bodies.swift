/// A group of metadata and payloads of a loaded frame.
struct GroupEntry: BitwiseCopyable {
    /// Where it stands in the frame.
    var storedStart: Int
    var storedCount: Int
    /// Where it belongs among the unpacked bodies.
    var plainStart: Int
    var plainCount: Int
    var checksum: UInt64
    var codec: UInt8
    var isUnpacked = false
    /// Whether it was found to match its checksum.
    var isVerified = false
    /// Whether records share a copy of it.
    var isShared = false
}

extension DecoderState {
    /// Reads where the groups stand.
    mutating func readGroups() throws(StorageError) {
        var reader = try self.reader(.groups)
        let layout = reader.byte()
        let count = reader.size(atMost: FrameFormat.maximumTypes + 2)
        guard
            count == self.header.groupCount,
            layout <= FrameFormat.Layout.consecutive, (layout == FrameFormat.Layout.together) == (count == 1),
            count > 0, layout != FrameFormat.Layout.consecutive || count <= self.count
        else {
            throw self.damaged("it has other groups than its header claims")
        }
        self.layout = layout
        self.groups.resize(count)
        var stored = self.header.prefixBytes + self.header.envelopeBytes
        var plain = 0
        for index in 0..<count {
            let codec = reader.byte()
            let plainCount = reader.size(atMost: self.header.bodyPlainBytes)
            let storedCount = reader.size(atMost: self.header.bodyBytes)
            let checksum = reader.littleEndian64()
            guard
                codec <= FrameFormat.GroupCodec.dictionary,
                codec != FrameFormat.GroupCodec.plain || plainCount == storedCount,
                codec != FrameFormat.GroupCodec.dictionary || self.header.dictionaryID != 0
            else { throw self.damaged("group \(index) is of an unknown kind") }
            self.groups[index] = GroupEntry(
                storedStart: stored, storedCount: storedCount, plainStart: plain, plainCount: plainCount,
                checksum: checksum, codec: codec)
            stored += storedCount
            plain += plainCount
        }
        guard
            !reader.isBroken, plain == self.header.bodyPlainBytes, stored == self.header.frameBytes
        else { throw self.damaged("its groups do not add up") }
        self.groupMap = reader
        self.body.resize(plain)
    }

    /// Checks the checksums of all groups.
    mutating func verifyGroups() throws(StorageError) {
        for index in 0..<self.groups.count { try self.verify(index) }
    }

    private mutating func verify(_ index: Int) throws(StorageError) {
        let group = self.groups[index]
        if group.isVerified { return }
        let stored = UnsafeRawBufferPointer(
            start: self.source + group.storedStart, count: group.storedCount)
        guard XXH64.hash(stored) == group.checksum else {
            throw self.damaged("the checksum of its group \(index) is wrong")
        }
        self.groups.base[index].isVerified = true
    }

    /// Reads where each event's metadata and payload lie.
    mutating func readBodies() throws(StorageError) {
        let count = self.count
        self.payloadLengths.resize(count)
        self.metadataLengths.resize(count)
        self.metadataStarts.resize(count)
        self.payloadStarts.resize(count)
        for (chunk, target) in [
            (FrameFormat.Chunk.payloadLengths, self.payloadLengths.base),
            (FrameFormat.Chunk.metadataLengths, self.metadataLengths.base),
        ] {
            var reader = try self.reader(chunk)
            NumberList.read(&reader, count, into: target)
            guard reader.isComplete else { throw self.damaged("its \(chunk) do not add up") }
        }
        if self.layout == FrameFormat.Layout.consecutive { return try self.placeConsecutive() }
        try self.readGroupMap()
        self.cursors.resize(self.groups.count)
        let cursors = self.cursors.base
        for index in 0..<self.groups.count { cursors[index] = self.groups[index].plainStart }
        Self.place(self.metadataLengths.base, count, self.metadataStarts.base, &cursors[0])
        if self.groups.count <= 2 {
            let group = self.groups.count - 1
            Self.place(self.payloadLengths.base, count, self.payloadStarts.base, &cursors[group])
        } else {
            self.placePayloads()
        }
        for index in 0..<self.groups.count {
            let group = self.groups[index]
            guard cursors[index] == group.plainStart + group.plainCount else {
                throw self.damaged("group \(index) is not as long as its events")
            }
        }
    }

    /// Puts pieces of the given lengths one after the other.
    @inline(__always)
    private static func place(
        _ lengths: UnsafePointer<UInt32>, _ count: Int, _ starts: UnsafeMutablePointer<UInt32>,
        _ cursor: inout Int
    ) {
        var local = cursor
        for index in 0..<count {
            starts[index] = UInt32(truncatingIfNeeded: local)
            local &+= Int(lengths[index])
        }
        cursor = local
    }

    /// Puts each payload behind the one before of its group.
    private mutating func placePayloads() {
        let types = (self.columns + FrameColumn.type.rawValue).pointee.codes.base
        let groups = self.groupOfType.base
        let cursors = self.cursors.base
        let lengths = self.payloadLengths.base
        let starts = self.payloadStarts.base
        for index in 0..<self.count {
            let group = Int(groups[Int(types[index]) &- 1])
            starts[index] = UInt32(truncatingIfNeeded: cursors[group])
            cursors[group] &+= Int(lengths[index])
        }
    }

    /// Reads which type is in which group.
    private mutating func readGroupMap() throws(StorageError) {
        guard var reader = self.groupMap, self.hasGroupsByType else {
            guard self.groupMap?.isComplete == true else {
                throw self.damaged("its chunk of groups is too long")
            }
            return
        }
        let types = (self.columns + FrameColumn.type.rawValue).pointee.distinctCount
        self.groupOfType.resize(types)
        for index in 0..<types {
            // Behind the group of the metadata.
            self.groupOfType[index] = UInt32(
                truncatingIfNeeded: reader.size(atMost: self.groups.count - 2) + 1)
        }
        guard reader.isComplete else { throw self.damaged("its types are not all in a group") }
    }

    /// Whether the group of a payload depends on the event's type.
    @inline(__always)
    var hasGroupsByType: Bool { self.layout == FrameFormat.Layout.apart && self.groups.count > 2 }

    /// The group that an event's metadata are in.
    @inline(__always)
    func metadataGroup(_ index: Int) -> Int {
        self.layout == FrameFormat.Layout.consecutive ? Int(self.groupOfEvent[index]) : 0
    }

    /// The group that an event's payload is in.
    @inline(__always)
    func payloadGroup(_ index: Int) -> Int {
        if self.layout == FrameFormat.Layout.consecutive { return Int(self.groupOfEvent[index]) }
        guard self.groups.count > 2 else { return self.groups.count &- 1 }
        let type = (self.columns + FrameColumn.type.rawValue).pointee.codes[index]
        return Int(self.groupOfType[Int(type) &- 1])
    }

    /// Places the metadata and payloads of groups of consecutive events.
    private mutating func placeConsecutive() throws(StorageError) {
        guard var reader = self.groupMap else { throw self.damaged("it has no groups") }
        self.groupOfEvent.resize(self.count)
        var first = 0
        for index in 0..<self.groups.count {
            let group = self.groups[index]
            let left = self.count - first
            let count = index < self.groups.count - 1 ? reader.size(atMost: left) : left
            guard count > 0 else { throw self.damaged("group \(index) has no events") }
            (self.groupOfEvent.base + first).update(
                repeating: UInt32(truncatingIfNeeded: index), count: count)
            var cursor = group.plainStart
            Self.place(self.metadataLengths.base + first, count, self.metadataStarts.base + first, &cursor)
            Self.place(self.payloadLengths.base + first, count, self.payloadStarts.base + first, &cursor)
            guard cursor == group.plainStart + group.plainCount else {
                throw self.damaged("group \(index) is not as long as its events")
            }
            first += count
        }
        guard reader.isComplete else { throw self.damaged("its chunk of groups is too long") }
    }

    /// Unpacks a group into its place among the bodies.
    mutating func unpackGroup(_ index: Int) throws(StorageError) {
        let group = self.groups[index]
        try self.unpackGroup(
            index,
            into: UnsafeMutableRawBufferPointer(
                start: self.body.base + group.plainStart, count: group.plainCount))
        self.unpackedGroups += 1
        self.groups.base[index].isUnpacked = true
    }

    /// Checks a group's checksum, and decompresses it into `target`, which is as large as its plain bytes.
    mutating func unpackGroup(
        _ index: Int, into target: UnsafeMutableRawBufferPointer
    ) throws(StorageError) {
        let group = self.groups[index]
        guard self.hasBodies else {
            throw StorageError(
                .invalidArgument, "this frame was loaded without its bodies; load it with them")
        }
        try self.verify(index)
        let stored = UnsafeRawBufferPointer(
            start: self.source + group.storedStart, count: group.storedCount)
        if group.codec == FrameFormat.GroupCodec.plain {
            target.copyMemory(from: stored)
        } else {
            do {
                try self.decompressor.decompress(
                    stored, into: target,
                    dictionary: group.codec == FrameFormat.GroupCodec.dictionary ? self.dictionary : nil)
            } catch {
                throw self.damaged("group \(index) cannot be decompressed (\(error.message))")
            }
        }
    }
}
