/// Decides which files make up the sealed part of a damaged log.
struct SegmentChoice {
    /// A file, or the catalogue's word that there was one.
    struct Candidate {
        enum Quality { case intact, damaged, missing }

        var fileName: String
        /// What the catalogue says, if it does.
        var info: SegmentInfo?
        var positions: Range<UInt64>
        var generation: UInt32
        /// How far the catalogue's word can be trusted; 3 where there is none.
        var rank: Int
        var quality: Quality
    }

    let directory: String
    let logID: (UInt64, UInt64)?
    /// Files in which verification found damage that the digest does not show.
    let badFiles: Set<String>
    let progress: (String, Int) throws(StorageError) -> Void

    private var segments: String { self.directory + "/" + Head.Names.segments }

    /// The segments that the catalogue of the newest commit names.
    func named(_ infos: [SegmentInfo]) throws(StorageError) -> [Candidate] {
        var result: [Candidate] = []
        for info in infos { result.append(try self.candidate(info, rank: 0)) }
        return result.sorted { $0.positions.lowerBound < $1.positions.lowerBound }
    }

    /// The best that can be made of a catalogue in pieces and of the files that are there.
    ///
    /// Where files cover the same positions, as before and after a compaction, what the newest trustworthy
    /// record names is taken; without a record, the file that was written first, which has more events.
    func pieced(_ records: [(rank: Int, info: SegmentInfo)]) throws(StorageError) -> [Candidate] {
        var candidates: [String: Candidate] = [:]
        for (rank, info) in records.sorted(by: { $0.rank < $1.rank }) where candidates[info.fileName] == nil {
            let candidate = try self.candidate(info, rank: rank)
            // A record of unknown age may be of a segment that was replaced or dropped since.
            if rank > 0, candidate.quality == .missing { continue }
            if rank == 2, candidate.quality == .damaged { continue }
            candidates[info.fileName] = candidate
        }
        let names = try Files.kind(self.segments) == .directory ? try Files.list(self.segments) : []
        for name in names where candidates[name] == nil && name.hasSuffix(".mdb") {
            guard try Files.kind(self.segments + "/" + name) == .file else { continue }
            if let candidate = try self.unnamed(name) { candidates[name] = candidate }
        }
        let ordered = candidates.values.sorted {
            ($0.rank, $0.quality == .intact ? 0 : 1, $0.generation, $0.fileName)
                < ($1.rank, $1.quality == .intact ? 0 : 1, $1.generation, $1.fileName)
        }
        var chosen: [Candidate] = []
        for candidate in ordered where !chosen.contains(where: { $0.positions.overlaps(candidate.positions) })
        {
            chosen.append(candidate)
        }
        return chosen.sorted { $0.positions.lowerBound < $1.positions.lowerBound }
    }

    private func candidate(_ info: SegmentInfo, rank: Int) throws(StorageError) -> Candidate {
        try self.progress(Head.Names.segments + "/" + info.fileName, info.fileBytes)
        return Candidate(
            fileName: info.fileName, info: info, positions: info.positions, generation: info.generation,
            rank: rank, quality: try self.quality(info))
    }

    private func quality(_ info: SegmentInfo) throws(StorageError) -> Candidate.Quality {
        let path = self.segments + "/" + info.fileName
        guard try Files.kind(path) == .file else { return .missing }
        if self.badFiles.contains(Head.Names.segments + "/" + info.fileName) { return .damaged }
        let descriptor = try Files.openReadOnlyNoFollow(path)
        let size = try Files.status(descriptor: descriptor.number, path: path).size
        guard size == info.fileBytes,
            try Files.digest(descriptor: descriptor.number, length: size, path: path) == info.digest
        else { return .damaged }
        descriptor.close()
        return .intact
    }

    /// A file without a record in the catalogue: nothing but its blocks can be trusted.
    private func unnamed(_ name: String) throws(StorageError) -> Candidate? {
        let path = self.segments + "/" + name
        let descriptor = try Files.openReadOnlyNoFollow(path)
        let remains = try SegmentRemains(descriptor: descriptor.number, path: path, info: nil)
        descriptor.close()
        guard let meta = remains.meta, self.logID.map({ $0 == meta.logID }) ?? true,
            SegmentInfo.fileName(firstPosition: meta.positions.lowerBound, generation: meta.generation)
                == name
        else { return nil }
        return Candidate(
            fileName: name, info: nil, positions: meta.positions, generation: meta.generation, rank: 3,
            quality: .damaged)
    }
}
