extension DecoderState {
    /// The chunks of a column: values (or the identifiers' shapes), their bytes, codes.
    private static func chunks(
        _ column: FrameColumn
    ) -> (values: FrameFormat.Chunk, bytes: FrameFormat.Chunk?, codes: FrameFormat.Chunk) {
        switch column {
        case .type: (.typeValues, nil, .typeCodes)
        case .stream: (.streamValues, nil, .streamCodes)
        case .source: (.sourceValues, nil, .sourceCodes)
        case .contentType: (.contentTypeValues, nil, .contentTypeCodes)
        case .tenant: (.tenantValues, nil, .tenantCodes)
        case .correlation: (.correlationShapes, .correlationBytes, .correlationCodes)
        case .causation: (.causationShapes, .causationBytes, .causationCodes)
        }
    }

    mutating func readColumn(_ column: FrameColumn) throws(StorageError) {
        let chunks = Self.chunks(column)
        var reader = try self.reader(chunks.values)
        let target = self.columns + column.rawValue
        target.pointee.texts.strings.removeAll(keepingCapacity: true)
        if reader.remaining == 0 {
            target.pointee.distinctCount = 1
            target.pointee.noneIndex = 0
        } else {
            target.pointee.distinctCount = reader.size(atMost: self.count)
            target.pointee.noneIndex = reader.size(atMost: target.pointee.distinctCount) - 1
        }
        let distinct = target.pointee.distinctCount
        let none = target.pointee.noneIndex
        guard distinct > 0, !reader.isBroken else { throw self.damaged("\(column) has no values") }
        try self.readCodes(column, chunks.codes)
        if let bytes = chunks.bytes {
            let list = self.identifiers(of: column)
            if distinct == 1, none == 0 {
                list.pointee.entries.resize(1)
                list.pointee.entries[0] = IdentifierEntry(high: 0, low: 0)
                guard try self.chunk(bytes).count == 0 else { throw self.damaged("\(column) has bytes") }
            } else {
                try self.readIdentifiers(
                    into: list, count: distinct, none: none, &reader, bytes: bytes,
                    uses: target.pointee.firstUses.base)
            }
        } else {
            try self.readTexts(
                into: &target.pointee.texts, count: distinct, none: none, &reader)
            if column == .type {
                var shortest = UInt32.max
                for range in target.pointee.texts.ranges.all { shortest = min(shortest, range.length) }
                guard none < 0, shortest > 0, distinct <= FrameFormat.maximumTypes else {
                    throw self.damaged("an event has no type")
                }
            }
        }
        guard reader.isComplete else { throw self.damaged("\(column) has more or fewer values than it says") }
    }

    // MARK: Codes

    private mutating func readCodes(
        _ column: FrameColumn, _ chunk: FrameFormat.Chunk
    ) throws(StorageError) {
        let bytes = try self.chunk(chunk)
        let target = self.columns + column.rawValue
        let count = self.count
        let distinct = target.pointee.distinctCount
        target.pointee.codes.resize(count)
        target.pointee.firstUses.resize(count + 1)
        let width = distinct <= 1 ? 0 : distinct <= 0xff ? 1 : distinct <= 0xffff ? 2 : 4
        guard bytes.count == width * count else {
            throw self.damaged("\(column) has \(bytes.count) bytes of codes for \(count) events")
        }
        guard let start = bytes.baseAddress, width > 0 else {
            target.pointee.codes.base.update(repeating: 0, count: count)
            target.pointee.firstUses[0] = 0
            return
        }
        let codes = target.pointee.codes.base
        let uses = target.pointee.firstUses.base
        let isValid =
            switch width {
            case 1: Self.readCodes(start, as: UInt8.self, count, distinct, codes, uses)
            case 2: Self.readCodes(start, as: UInt16.self, count, distinct, codes, uses)
            default: Self.readCodes(start, as: UInt32.self, count, distinct, codes, uses)
            }
        guard isValid else { throw self.damaged("\(column) has codes without values") }
    }

    /// Turns distances into codes; false if they are not those of `distinct` values.
    @inline(__always)
    private static func readCodes<Code: FixedWidthInteger & BitwiseCopyable>(
        _ source: UnsafeRawPointer, as type: Code.Type, _ count: Int, _ distinct: Int,
        _ codes: UnsafeMutablePointer<UInt32>, _ uses: UnsafeMutablePointer<UInt32>
    ) -> Bool {
        var next: UInt32 = 0
        var isInvalid = false
        for index in 0..<count {
            let distance = UInt32(
                truncatingIfNeeded: source.littleEndian(Code.self, at: index &* MemoryLayout<Code>.size))
            isInvalid = isInvalid || distance > next
            // `next` is at most `index`, and `uses` has room for one more than there are events.
            uses[Int(next)] = UInt32(truncatingIfNeeded: index)
            codes[index] = next &- distance
            next &+= distance == 0 ? 1 : 0
        }
        return !isInvalid && Int(next) == distinct
    }

    // MARK: Texts

    /// Reads a list of texts: `count` entries, of which the one at `none` is not there.
    mutating func readTexts(
        into texts: inout DecodedTexts, count: Int, none: Int, _ reader: inout ByteReader
    ) throws(StorageError) {
        let present = none >= 0 ? count - 1 : count
        texts.ranges.resize(count)
        texts.strings.removeAll(keepingCapacity: true)
        guard let prefixes = reader.bytes(present), let suffixes = reader.bytes(present) else {
            throw self.damaged("a list of texts is cut off")
        }
        var total = 0
        var stored = 0
        for index in 0..<present {
            total &+= Int(prefixes[index]) &+ Int(suffixes[index])
            stored &+= Int(suffixes[index])
        }
        self.textBytes += total
        guard self.textBytes <= FrameFormat.maximumTextBytes else {
            throw self.damaged("its texts exceed \(FrameFormat.maximumTextBytes) bytes")
        }
        guard let source = reader.bytes(stored) else { throw self.damaged("a list of texts is cut off") }
        texts.bytes.resize(total)
        guard Self.rebuild(texts, count, none, prefixes, suffixes, source) else {
            throw self.damaged("a text shares more than there is, or exceeds 255 bytes")
        }
        if !Self.isASCII(source, stored) {
            for index in 0..<count
            where index != none && String(validating: texts.utf8(index), as: UTF8.self) == nil {
                throw self.damaged("a text is not UTF-8")
            }
        }
    }

    /// Puts each text together from the one before and its own bytes; false if that is impossible.
    private static func rebuild(
        _ texts: borrowing DecodedTexts, _ count: Int, _ none: Int, _ prefixes: UnsafePointer<UInt8>,
        _ suffixes: UnsafePointer<UInt8>, _ source: UnsafePointer<UInt8>
    ) -> Bool {
        var source = UnsafeRawPointer(source)
        var target = UnsafeMutableRawPointer(texts.bytes.base)
        let base = target
        var previous = target
        var previousCount = 0
        var slot = 0
        for index in 0..<count {
            let start = UInt32(truncatingIfNeeded: target - base)
            if index == none {
                texts.ranges[index] = DecodedTexts.Range(start: start, length: 0)
                continue
            }
            let shared = Int(prefixes[slot])
            let rest = Int(suffixes[slot])
            slot &+= 1
            let length = shared &+ rest
            if shared > previousCount || length > FrameFormat.maximumNameBytes { return false }
            texts.ranges[index] = DecodedTexts.Range(
                start: start, length: UInt32(truncatingIfNeeded: length))
            target.copyMemory(from: previous, byteCount: shared)
            (target + shared).copyMemory(from: source, byteCount: rest)
            previous = target
            previousCount = length
            target += length
            source += rest
        }
        return true
    }

    private static func isASCII(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let start = UnsafeRawPointer(start)
        var union: UInt64 = 0
        var offset = 0
        while offset &+ 8 <= count {
            union |= start.littleEndian(UInt64.self, at: offset)
            offset &+= 8
        }
        while offset < count {
            union |= UInt64(start.littleEndian(UInt8.self, at: offset))
            offset &+= 1
        }
        return union & 0x8080_8080_8080_8080 == 0
    }
}
