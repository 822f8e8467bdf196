// Who is subscribed, as of one moment. A table never changes; subscribing and cancelling make a new one.
//
// What changes is its memory of which handlers a type goes to: a table of slots that are read without a lock
// and filled under one, and never emptied, so a reader needs to protect the table alone. When too many types
// have come, the bus replaces the table by one that remembers nothing.
import Synchronization
import TidelogStorage

/// A subscription as the bus calls it.
final class HandlerEntry: Sendable {
    let pattern: TypePattern
    /// What is called; for a subscription with a queue it puts the event there.
    let body: @Sendable (Event) throws -> Void
    /// Where events wait for a handler that may suspend, or for a reader.
    let queue: EventQueue?
    private let active = Atomic<Bool>(true)

    init(_ pattern: TypePattern, queue: EventQueue?, _ body: @escaping @Sendable (Event) throws -> Void) {
        self.pattern = pattern
        self.queue = queue
        self.body = body
    }

    @inline(__always)
    var isActive: Bool { self.active.load(ordering: .relaxed) }

    func deactivate() { self.active.store(false, ordering: .sequentiallyConsistent) }
}

/// The handlers that events of one type go to, in order of subscription.
final class HandlerList: Sendable {
    let type: String
    let hash: UInt
    /// Its handlers; the table that owns the list owns them too.
    private let places: Unguarded<UnsafeMutablePointer<Unmanaged<HandlerEntry>>>  // never changed
    let count: Int
    let queueCount: Int

    init(type: String, hash: UInt, entries: [HandlerEntry]) {
        self.type = type
        self.hash = hash
        let handlers = UnsafeMutablePointer<Unmanaged<HandlerEntry>>.allocate(capacity: max(1, entries.count))
        for (index, entry) in entries.enumerated() {
            (handlers + index).initialize(to: .passUnretained(entry))
        }
        self.places = Unguarded(handlers)
        self.count = entries.count
        self.queueCount = entries.count { $0.queue != nil }
    }

    deinit { self.places.value.deallocate() }

    @inline(__always)
    var handlers: UnsafeMutablePointer<Unmanaged<HandlerEntry>> { self.places.value }

    /// Whether this is the type. Two strings of the same bits are the same; others are compared by bytes.
    @inline(__always)
    func isFor(_ type: String) -> Bool {
        let mine = unsafeBitCast(self.type, to: (UInt64, UInt64).self)
        return mine == unsafeBitCast(type, to: (UInt64, UInt64).self) || self.type.isExactly(type)
    }

    /// A queue that has no room, where this sender must know.
    func fullQueue(for sender: BusCore.Sender) -> EventQueue? {
        for index in 0..<self.count {
            let queue = self.handlers[index].takeUnretainedValue().queue
            if let queue, queue.isFull(for: sender) { return queue }
        }
        return nil
    }
}

/// All subscriptions as of one moment.
final class HandlerTable: Sendable {
    private static let slotCount = 256
    private static let probes = 4
    /// How many lists a table makes before it should be replaced.
    private static let listLimit = 512

    let entries: [HandlerEntry]
    let isClosed: Bool
    let isEmpty: Bool
    private let places: Unguarded<UnsafeMutablePointer<Atomic<UInt>>>  // atomics
    private let lists = Lock<[HandlerList]>([])

    init(_ entries: [HandlerEntry], isClosed: Bool = false) {
        self.entries = entries
        self.isClosed = isClosed
        self.isEmpty = entries.isEmpty
        let count = entries.isEmpty ? 0 : Self.slotCount
        let slots = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: max(1, count))
        self.places = Unguarded(slots)
        for index in 0..<count { (slots + index).initialize(to: Atomic(0)) }
    }

    deinit { self.places.value.deallocate() }

    @inline(__always)
    private var slots: UnsafeMutablePointer<Atomic<UInt>> { self.places.value }

    /// The list for a type, if it has been made; the table must not be empty.
    @inline(__always)
    func known(_ type: String) -> Unmanaged<HandlerList>? {
        let hash = TypeHash.of(type)
        var slot = Int(bitPattern: hash) & (Self.slotCount - 1)
        for _ in 0..<Self.probes {
            let address = (self.slots + slot).pointee.load(ordering: .acquiring)
            guard let pointer = UnsafeRawPointer(bitPattern: address) else { return nil }
            let list = Unmanaged<HandlerList>.fromOpaque(pointer)
            let isIt = list._withUnsafeGuaranteedRef { $0.hash == hash && $0.isFor(type) }
            if isIt { return list }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return nil
    }

    /// Makes the list for a type; it lives as long as the table.
    ///
    /// - Returns: the list, and whether the table has made so many that it should be replaced.
    @inline(never)
    func make(_ type: String) -> (list: Unmanaged<HandlerList>, isWorn: Bool) {
        let hash = TypeHash.of(type)
        return self.lists.withLock { lists in
            if let other = self.known(type) { return (other, false) }  // another thread was faster
            let list = HandlerList(
                type: type, hash: hash, entries: self.entries.filter { $0.pattern.matches(type) })
            lists.append(list)
            let unmanaged = Unmanaged.passUnretained(list)
            let start = Int(bitPattern: hash) & (Self.slotCount - 1)
            for probe in 0..<Self.probes {
                let place = self.slots + ((start + probe) & (Self.slotCount - 1))
                guard place.pointee.load(ordering: .relaxed) == 0 else { continue }
                place.pointee.store(UInt(bitPattern: unmanaged.toOpaque()), ordering: .releasing)
                return (unmanaged, false)
            }
            return (unmanaged, lists.count >= Self.listLimit)
        }
    }
}

/// A hash of a type's bytes: quick, the same for equal bytes, and no more.
enum TypeHash {
    @inline(__always)
    static func of(_ type: String) -> UInt {
        let hash = type.utf8.withContiguousStorageIfAvailable { Self.of(UnsafeRawBufferPointer($0)) }
        return hash ?? Self.ofOther(type)
    }

    @inline(never)
    private static func ofOther(_ type: String) -> UInt {
        var copy = type
        return copy.withUTF8 { Self.of(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private static func of(_ bytes: UnsafeRawBufferPointer) -> UInt {
        guard let base = bytes.baseAddress else { return 0 }
        let count = bytes.count
        var hash = UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
        if count >= 8 {
            var at = 0
            while at + 8 < count {
                hash = Self.mix(hash ^ base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                at += 8
            }
            hash = Self.mix(hash ^ base.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self))
        } else {
            var word: UInt64 = 0
            for index in 0..<count { word = word << 8 | UInt64(bytes[index]) }
            hash = Self.mix(hash ^ word)
        }
        return UInt(truncatingIfNeeded: hash)
    }

    /// The two halves of a product of 128 bits, one upon the other.
    @inline(__always)
    private static func mix(_ word: UInt64) -> UInt64 {
        let product = word.multipliedFullWidth(by: 0x9FB2_1C65_1E98_DF25)
        return product.high ^ product.low
    }
}
