import Testing

@testable import Tidelog

@Suite("What is stored of process managers")
struct ProcessRecordTests {
    @Test("an instance that an older build stored, without what began it, is read")
    func olderInstance() throws {
        var instance = ProcessInstance(state: [1, 2])
        instance.timers = [("t", 5)]
        #expect(try ProcessInstance(stored: instance.stored).origin == nil)
        instance.origin = ProcessOrigin(event: "e", correlation: "c")
        #expect(try ProcessInstance(stored: instance.stored) == instance)
        #expect(try ProcessInstance(stored: instance.stored).origin == instance.origin)
    }
}
