/// The file of a segment as this process has it open, shared by all who read it.
///
/// LMDB wants a file open once in a process. A segment is dropped from one cache while another reader still
/// goes on with it, or two threads come to it first at the same time: so the openings are counted, and the
/// last one to end closes.
final class SegmentMapping: Sendable {
    let environment: Environment
    let meta: Database
    let blocks: Database
    let index: Database

    private struct Slot {
        var mapping: SegmentMapping
        var users: Int
        /// XXH64 of the whole file, as it was before it was mapped.
        var digest: UInt64
    }

    private static let open = Lock<[FileIdentity: Slot]>([:])

    /// The digest of a file that is open, which was checked or computed then; nil if it is not open.
    static func digest(of identity: FileIdentity) -> UInt64? {
        Self.open.withLock { $0[identity]?.digest }
    }

    /// Opens what `descriptor` stands for, or joins those who have it open. Each call is ended by `release`.
    static func acquire(
        _ identity: FileIdentity, descriptor: borrowing FileDescriptor, fileBytes: Int, digest: UInt64
    ) throws(StorageError) -> SegmentMapping {
        let number = descriptor.number
        return try Self.open.withLock { open throws(StorageError) in
            if let slot = open[identity] {
                open[identity]?.users += 1
                return slot.mapping
            }
            let mapping = try SegmentMapping(descriptor: number, fileBytes: fileBytes)
            open[identity] = Slot(mapping: mapping, users: 1, digest: digest)
            return mapping
        }
    }

    /// Ends one use; the last one closes the file.
    static func release(_ identity: FileIdentity) {
        Self.open.withLock { open in
            guard let slot = open[identity] else { return }
            if slot.users > 1 {
                open[identity]?.users -= 1
            } else {
                open[identity] = nil
                // Under the lock, so that nobody opens it while it is being closed.
                slot.mapping.environment.close()
            }
        }
    }

    private init(descriptor: Int32, fileBytes: Int) throws(StorageError) {
        var options = Environment.Options()
        options.readOnly = true
        options.noLock = true
        options.mustExist = true
        options.maxDatabases = 3
        // No more of the address space than the file has.
        options.mapSizeBytes = fileBytes
        let environment = try Environment(path: "/proc/self/fd/\(descriptor)", options: options)
        self.meta = try environment.openDatabase("meta", integerKeys: false, create: false)
        self.blocks = try environment.openDatabase("blocks", integerKeys: true, create: false)
        self.index = try environment.openDatabase("index", integerKeys: false, create: false)
        self.environment = environment
    }
}
