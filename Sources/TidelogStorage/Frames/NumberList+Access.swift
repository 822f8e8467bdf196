/// A list of numbers read in place: single numbers and sums, without unpacking what is not asked for.
///
/// What is not there, or does not fit, reads as zero and marks the list as broken, like a ``ByteReader``.
struct NumberListReader {
    private enum Form {
        case constant(UInt64)
        case packed(UnsafeRawPointer, bits: Int, smallest: UInt64)
        case varints(ByteReader)
    }

    private let form: Form
    let count: Int
    private(set) var isBroken: Bool

    /// Reads the head of a list of `count` numbers, and leaves `reader` behind the list only where that is
    /// known without reading it; see ``skip(_:_:)``.
    init(_ reader: inout ByteReader, _ count: Int) {
        self.count = count
        switch reader.byte() {
        case NumberList.constant:
            self.form = .constant(reader.varint())
        case NumberList.varints:
            self.form = .varints(reader)
        case NumberList.packed:
            let bits = Int(reader.byte())
            let smallest = reader.varint()
            if bits >= 1, bits <= NumberList.maximumBits, let start = reader.bytes((count &* bits &+ 7) / 8) {
                self.form = .packed(UnsafeRawPointer(start), bits: bits, smallest: smallest)
            } else {
                reader.fail()
                self.form = .constant(0)
            }
        default:
            reader.fail()
            self.form = .constant(0)
        }
        self.isBroken = reader.isBroken
    }

    /// Moves `reader`, with which this list was begun, behind the list.
    mutating func skip(_ reader: inout ByteReader) {
        guard case .varints(var local) = self.form else { return }
        for _ in 0..<self.count { _ = local.varint() }
        reader = local
        if local.isBroken { self.isBroken = true }
    }

    @inline(__always)
    private static func packed(
        _ start: UnsafeRawPointer, _ bits: Int, _ index: Int
    ) -> UInt64 {
        // The list was found to be there; loads reach up to seven bytes beyond it (see `Numbers`).
        let bit = index &* bits
        let word = start.littleEndian(UInt64.self, at: bit &>> 3)
        return (word &>> UInt64(truncatingIfNeeded: bit & 7))
            & (1 &<< UInt64(truncatingIfNeeded: bits) &- 1)
    }

    /// One number.
    mutating func number(_ index: Int) -> UInt64 {
        guard index >= 0, index < self.count else {
            self.isBroken = true
            return 0
        }
        switch self.form {
        case .constant(let value): return value
        case .packed(let start, let bits, let smallest):
            return Self.packed(start, bits, index) &+ smallest
        case .varints(var reader):
            for _ in 0..<index { _ = reader.varint() }
            let value = reader.varint()
            if reader.isBroken { self.isBroken = true }
            return value
        }
    }

    /// Gives the numbers in `range` to `body`, in order.
    @inline(__always)
    mutating func forEach(_ range: Range<Int>, _ body: (UInt64) -> Void) {
        guard range.lowerBound >= 0, range.upperBound <= self.count else {
            self.isBroken = true
            return
        }
        switch self.form {
        case .constant(let value):
            for _ in range { body(value) }
        case .packed(let start, let bits, let smallest):
            for index in range { body(Self.packed(start, bits, index) &+ smallest) }
        case .varints(var reader):
            for _ in 0..<range.lowerBound { _ = reader.varint() }
            for _ in range { body(reader.varint()) }
            if reader.isBroken { self.isBroken = true }
        }
    }

    /// The sum of the numbers in `range`; it wraps.
    @inline(__always)
    mutating func sum(_ range: Range<Int>) -> UInt64 {
        if case .constant(let value) = self.form {
            return value &* UInt64(truncatingIfNeeded: range.count)
        }
        var sum: UInt64 = 0
        self.forEach(range) { sum &+= $0 }
        return sum
    }

    /// How many of the numbers in `range` are zero.
    @inline(__always)
    mutating func zeros(_ range: Range<Int>) -> Int {
        if case .packed(_, _, let smallest) = self.form, smallest > 0 { return 0 }
        var zeros = 0
        self.forEach(range) { zeros &+= $0 == 0 ? 1 : 0 }
        return zeros
    }

    /// Where the zero with this number, counted from 0, stands; nil if there are not so many.
    mutating func place(ofZero number: Int) -> Int? {
        var left = number
        var place = 0
        var found: Int?
        self.forEach(0..<self.count) { value in
            if value == 0 {
                if left == 0 { found = place }
                left &-= 1
            }
            place &+= 1
        }
        return found
    }
}
