extension FrameEncoder {
    /// Packs groups of consecutive events, each with the metadata and then the payloads of its events: who
    /// wants one event decompresses some kilobytes.
    func packConsecutiveGroups() throws(StorageError) -> PackedGroups {
        let (state, bodies) = (self.state, self.bodies)
        let total = state.pointee.bodyBytes
        let count = min(state.pointee.count, max(1, (total + self.groupBytes / 2) / self.groupBytes))
        let ends = state.pointee.groupEnds(atMost: count)
        var groups = PackedGroups()
        groups.layout = ends.count > 1 ? FrameFormat.Layout.consecutive : FrameFormat.Layout.together
        bodies.pointee.output.count = 0
        var (event, metadata, payload) = (0, 0, 0)
        for end in ends {
            let (metadataStart, payloadStart) = (metadata, payload)
            while event < end {
                metadata += Int(state.pointee.metadataLengths[event])
                payload += Int(state.pointee.payloadLengths[event])
                event += 1
            }
            bodies.pointee.regrouped.count = 0
            bodies.pointee.regrouped.append(
                UnsafeRawBufferPointer(rebasing: bodies.pointee.metadata.bytes[metadataStart..<metadata]))
            bodies.pointee.regrouped.append(
                UnsafeRawBufferPointer(rebasing: bodies.pointee.payloads.bytes[payloadStart..<payload]))
            try self.packGroup(bodies.pointee.regrouped.bytes, &groups)
        }
        var start = 0
        for end in ends.dropLast() {
            groups.tail.append(UInt64(end - start))
            start = end
        }
        return groups
    }
}

extension EncoderState {
    /// Cuts the events into at most `count` groups of about the same size; gives the event behind each.
    func groupEnds(atMost count: Int) -> [Int] {
        var ends: [Int] = []
        let total = self.bodyBytes
        var bytes = 0
        for event in 0..<self.count {
            bytes += Int(self.metadataLengths[event]) + Int(self.payloadLengths[event])
            if event == self.count - 1 || bytes * count >= total * (ends.count + 1) {
                ends.append(event + 1)
                // A large event may fill several shares.
                if ends.count == count, event < self.count - 1 { ends[count - 1] = self.count }
                if ends.count == count { break }
            }
        }
        return ends
    }
}
