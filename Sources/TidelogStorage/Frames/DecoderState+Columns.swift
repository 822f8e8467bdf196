extension DecoderState {
    /// The chunks of a column: values (or the identifiers' shapes), their bytes, codes.
    static func chunks(
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
        target.pointee.distinctCount = 0
        target.pointee.hasNone = true
        if reader.remaining > 0 {
            let distinct = reader.varint()
            guard distinct > 1, distinct &>> 1 <= UInt64(self.count) else {
                throw self.damaged("\(column) has no values, or more than there are events")
            }
            target.pointee.distinctCount = Int(distinct &>> 1)
            target.pointee.hasNone = distinct & 1 != 0
        }
        try self.readCodes(column, chunks.codes)
        let distinct = target.pointee.distinctCount
        if let bytes = chunks.bytes {
            let list = self.identifiers(of: column)
            if distinct > 0 {
                try self.readIdentifiers(
                    into: list, count: distinct, &reader, bytes: bytes,
                    uses: target.pointee.firstUses.base)
            } else if try self.chunk(bytes).count > 0 {
                throw self.damaged("\(column) has bytes and no identifiers")
            }
        } else {
            try self.readTexts(into: &target.pointee.texts, count: distinct, &reader)
        }
        guard reader.isComplete else {
            throw self.damaged("\(column) has more or fewer values than it says")
        }
        if column == .type {
            var shortest = UInt32.max
            for range in target.pointee.texts.ranges.all { shortest = min(shortest, range.length) }
            guard !target.pointee.hasNone, shortest > 0, distinct <= FrameFormat.maximumTypes else {
                throw self.damaged("an event has no type")
            }
        }
    }

    // MARK: Codes

    private mutating func readCodes(
        _ column: FrameColumn, _ chunk: FrameFormat.Chunk
    ) throws(StorageError) {
        var reader = try self.reader(chunk)
        let target = self.columns + column.rawValue
        let count = self.count
        let distinct = target.pointee.distinctCount
        let hasNone = target.pointee.hasNone
        target.pointee.codes.resize(count)
        target.pointee.firstUses.resize(count + 2)
        let codes = target.pointee.codes.base
        if distinct == 0 || distinct == 1 && !hasNone {
            guard reader.isComplete else { throw self.damaged("\(column) has codes and needs none") }
            codes.update(repeating: distinct == 0 ? 0 : 1, count: count)
            target.pointee.firstUses[0] = 0
            return
        }
        NumberList.read(&reader, count, into: codes)
        let isValid = Self.turnIntoCodes(
            codes, count, distinct, hasNone, target.pointee.firstUses.base)
        guard reader.isComplete, isValid else { throw self.damaged("\(column) has codes without values") }
    }

    /// Turns distances into codes; false if they are not those of `distinct` values.
    @inline(__always)
    private static func turnIntoCodes(
        _ codes: UnsafeMutablePointer<UInt32>, _ count: Int, _ distinct: Int, _ hasNone: Bool,
        _ uses: UnsafeMutablePointer<UInt32>
    ) -> Bool {
        let none: UInt32 = hasNone ? 1 : 0
        var next: UInt32 = 1
        var invalid: UInt32 = 0
        for index in 0..<count {
            let kept = codes[index]
            // `next` is at most one more than `index`, and `uses` has room for two more than events.
            uses[Int(next &- 1)] = UInt32(truncatingIfNeeded: index)
            let isNew: UInt32 = kept == 0 ? 1 : 0
            let isNone: UInt32 = (kept == 1 ? 1 : 0) & none
            invalid |= kept >= next &+ none ? 1 : 0
            let code = next &+ none &- kept &- (none & isNew)
            codes[index] = code & (isNone &- 1)
            next &+= isNew
        }
        return invalid == 0 && Int(next) == distinct + 1
    }

    // MARK: Texts

    /// Reads a list of `count` texts.
    mutating func readTexts(
        into texts: inout DecodedTexts, count: Int, _ reader: inout ByteReader
    ) throws(StorageError) {
        texts.ranges.resize(count)
        texts.strings.removeAll(keepingCapacity: true)
        if count == 0 { return }
        guard let list = TextList(&reader, count, scratch: &self.textNumbers) else {
            throw self.damaged("a list of texts is cut off, or of an unknown kind")
        }
        let (prefixes, suffixes) = (list.prefixes, list.suffixes)
        var total = 0
        var stored = 0
        for index in 0..<count {
            total &+= Int(prefixes[index]) &+ Int(suffixes[index])
            stored &+= Int(suffixes[index])
        }
        self.textBytes += total
        guard self.textBytes <= FrameFormat.maximumTextBytes else {
            throw self.damaged("its texts exceed \(FrameFormat.maximumTextBytes) bytes")
        }
        guard let source = list.suffixBytes(stored, scratch: &self.textScratch) else {
            throw self.damaged("a list of texts uses a character that it does not have")
        }
        texts.bytes.resize(total)
        guard Self.rebuild(texts, count, prefixes, suffixes, source) else {
            throw self.damaged("a text shares more than there is, or exceeds 255 bytes")
        }
        if !Self.isASCII(source, stored) {
            for index in 0..<count where String(validating: texts.utf8(index), as: UTF8.self) == nil {
                throw self.damaged("a text is not UTF-8")
            }
        }
    }

    /// Puts each text together from the one before and its own bytes; false if that is impossible.
    private static func rebuild(
        _ texts: borrowing DecodedTexts, _ count: Int, _ prefixes: UnsafePointer<UInt8>,
        _ suffixes: UnsafePointer<UInt8>, _ source: UnsafePointer<UInt8>
    ) -> Bool {
        var source = UnsafeRawPointer(source)
        var target = UnsafeMutableRawPointer(texts.bytes.base)
        let base = target
        let ranges = texts.ranges.base
        var previous = target
        var previousCount = 0
        for index in 0..<count {
            let shared = Int(prefixes[index])
            let rest = Int(suffixes[index])
            let length = shared &+ rest
            if shared > previousCount || length > FrameFormat.maximumNameBytes { return false }
            ranges[index] = DecodedTexts.Range(
                start: UInt32(truncatingIfNeeded: target - base),
                length: UInt32(truncatingIfNeeded: length))
            Self.copy(shared, from: UnsafeRawPointer(previous), to: target)
            Self.copy(rest, from: source, to: target + shared)
            previous = target
            previousCount = length
            target += length
            source += rest
        }
        return true
    }

    /// Copies at most 255 bytes in steps of sixteen: it may write, and read, up to fifteen bytes more, for
    /// which there is padding.
    @inline(__always)
    private static func copy(
        _ count: Int, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer
    ) {
        var offset = 0
        while offset < count {
            let piece = (source + offset).loadUnaligned(as: SIMD16<UInt8>.self)
            (target + offset).storeBytes(of: piece, as: SIMD16<UInt8>.self)
            offset &+= 16
        }
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
