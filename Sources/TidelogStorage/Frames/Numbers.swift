/// A growing run of plain values in memory of its own, kept for reuse from frame to frame.
///
/// The hot loops of the frame codec run over its pointer, so that neither reference counting nor checks for
/// exclusive access happen per event. Whoever writes through `base` has reserved the room before; whoever
/// reads has checked the index. There are always at least `padding` bytes of room behind the last element,
/// so that a load of a whole word at the last byte stays inside the allocation.
struct Numbers<Element: BitwiseCopyable>: ~Copyable {
    private(set) var base: UnsafeMutablePointer<Element>
    private(set) var capacity: Int
    /// How many elements are in use.
    var count = 0

    init(capacity: Int = 64) {
        self.capacity = max(capacity, 16)
        self.base = Self.allocate(self.capacity)
    }

    deinit { UnsafeMutableRawPointer(self.base).deallocate() }

    @inline(__always)
    subscript(index: Int) -> Element {
        get { self.base[index] }
        nonmutating set { self.base[index] = newValue }
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        if self.count == self.capacity { self.grow(to: self.count &+ 1) }
        self.base[self.count] = element
        self.count &+= 1
    }

    /// Appends where room has been made before.
    @inline(__always)
    mutating func push(_ element: Element) {
        assert(self.count < self.capacity, "room was made")
        self.base[self.count] = element
        self.count &+= 1
    }

    /// Makes room for `total` elements in all; what is in use stays.
    @inline(__always)
    mutating func reserve(_ total: Int) {
        if total > self.capacity { self.grow(to: total) }
    }

    /// Makes `total` elements usable without giving new ones a value.
    @inline(__always)
    mutating func resize(_ total: Int) {
        self.reserve(total)
        self.count = total
    }

    /// Forgets the elements, and gives memory back if the last use was far larger than usual.
    mutating func clear(keeping limit: Int) {
        self.count = 0
        guard self.capacity > limit else { return }
        UnsafeMutableRawPointer(self.base).deallocate()
        self.capacity = limit
        self.base = Self.allocate(limit)
    }

    /// The elements in use.
    @inline(__always)
    var all: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: self.base, count: self.count) }

    /// The bytes of the elements in use.
    @inline(__always)
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: self.base, count: self.count &* MemoryLayout<Element>.stride)
    }

    @inline(never)
    private mutating func grow(to total: Int) {
        let capacity = max(total, self.capacity &* 2)
        let base = Self.allocate(capacity)
        UnsafeMutableRawPointer(base).copyMemory(
            from: self.base, byteCount: self.count &* MemoryLayout<Element>.stride)
        UnsafeMutableRawPointer(self.base).deallocate()
        self.base = base
        self.capacity = capacity
    }

    private static func allocate(_ capacity: Int) -> UnsafeMutablePointer<Element> {
        UnsafeMutableRawPointer.allocate(
            byteCount: capacity * MemoryLayout<Element>.stride + padding, alignment: 16
        ).bindMemory(to: Element.self, capacity: capacity)
    }
}

/// Readable bytes behind every run, so that whole words may be loaded near its end.
let padding = 32

extension Numbers where Element == UInt8 {
    /// Appends a copy of `source`.
    @inline(__always)
    mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress, source.count > 0 else { return }
        self.reserve(self.count &+ source.count)
        UnsafeMutableRawPointer(self.base + self.count).copyMemory(from: start, byteCount: source.count)
        self.count &+= source.count
    }

    /// Appends `value` as a varint.
    @inline(__always)
    mutating func appendVarint(_ value: UInt64) {
        self.reserve(self.count &+ Varint.maximumBytes)
        var cursor = self.base + self.count
        Varint.write(value, at: &cursor)
        self.count = cursor - self.base
    }

    /// Appends `value` in eight bytes, least significant first.
    mutating func append(littleEndian value: UInt64) {
        self.reserve(self.count &+ 8)
        UnsafeMutableRawPointer(self.base + self.count).storeBytes(of: value.littleEndian, as: UInt64.self)
        self.count &+= 8
    }
}
