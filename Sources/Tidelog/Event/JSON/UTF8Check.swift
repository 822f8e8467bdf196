/// Tells well-formed UTF-8 (Unicode, table 3-7).
enum UTF8Check {
    /// How many bytes the character at `start` takes, or 0 if there is none that is well-formed.
    static func length(_ start: UnsafePointer<UInt8>, count: Int) -> Int {
        guard count > 0 else { return 0 }
        func follows(_ offset: Int, _ low: UInt8 = 0x80, _ high: UInt8 = 0xBF) -> Bool {
            offset < count && start[offset] >= low && start[offset] <= high
        }
        switch start[0] {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF: return follows(1) ? 2 : 0
        case 0xE0: return follows(1, 0xA0) && follows(2) ? 3 : 0
        case 0xED: return follows(1, 0x80, 0x9F) && follows(2) ? 3 : 0
        case 0xE1...0xEF: return follows(1) && follows(2) ? 3 : 0
        case 0xF0: return follows(1, 0x90) && follows(2) && follows(3) ? 4 : 0
        case 0xF1...0xF3: return follows(1) && follows(2) && follows(3) ? 4 : 0
        case 0xF4: return follows(1, 0x80, 0x8F) && follows(2) && follows(3) ? 4 : 0
        default: return 0
        }
    }

    /// Whether all of the bytes are well-formed UTF-8.
    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return true }
        var at = 0
        while at < bytes.count {
            if base[at] < 0x80 {
                at += 1
                continue
            }
            let length = Self.length(base + at, count: bytes.count - at)
            if length == 0 { return false }
            at += length
        }
        return true
    }
}
