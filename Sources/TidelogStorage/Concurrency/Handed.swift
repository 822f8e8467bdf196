// SAFETY: who puts something in says beside it why one thread at a time can reach it.
/// Something that threads hand to each other, and that only the one who has it may touch.
struct Handed<Value>: @unchecked Sendable {
    var value: Value

    init(_ value: Value) { self.value = value }
}
