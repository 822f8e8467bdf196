// What every bus promises, as checks that anyone can run against theirs. It needs no testing library: a check
// is an asynchronous function that throws what was wrong.
public import Tidelog

/// The suite that every bus passes.
///
/// ```swift
/// @Test("the bus keeps its promises", arguments: BusConformance.promises)
/// func conformance(promise: BusConformance.Promise) async throws {
///     try await BusConformance { MyBus() }.check(promise)
/// }
/// ```
public struct BusConformance: Sendable {
    /// One thing that a bus promises.
    public struct Promise: Sendable, Hashable, CustomStringConvertible {
        /// What is promised, in words.
        public let name: String
        let needsDelivery: Bool
        let check: @Sendable (BusConformance) async throws -> Void

        init(
            _ name: String, needsDelivery: Bool = true,
            _ check: @escaping @Sendable (BusConformance) async throws -> Void
        ) {
            self.name = name
            self.needsDelivery = needsDelivery
            self.check = check
        }

        /// What is promised.
        public var description: String { self.name }

        /// Promises are the same if they promise the same.
        public static func == (first: Self, second: Self) -> Bool { first.name == second.name }

        /// Hashes what is promised.
        public func hash(into hasher: inout Hasher) { hasher.combine(self.name) }
    }

    /// A promise that was not kept.
    public struct Failure: Error, CustomStringConvertible {
        /// What was expected, and what was found.
        public let description: String
    }

    /// Whether the bus calls handlers at all; one that does not skips what is about that.
    public var delivers = true
    /// How long a delivery may take before it counts as lost. Default: 20 s.
    public var patience: Duration = .seconds(20)

    private let make: @Sendable () async throws -> any EventBus

    /// The suite for buses that `make` makes: a new, empty one each time.
    public init(makeBus make: @escaping @Sendable () async throws -> any EventBus) {
        self.make = make
    }

    /// All promises.
    public static var promises: [Promise] {
        Self.deliveryPromises + Self.handlerPromises + Self.publisherPromises + Self.closingPromises
    }

    /// Checks one promise with a bus of its own.
    ///
    /// - Throws: ``Failure`` if the bus does not keep it, and whatever the bus throws.
    public func check(_ promise: Promise) async throws {
        if promise.needsDelivery, !self.delivers { return }
        try await promise.check(self)
    }

    /// Runs `body` with a new bus, and closes it.
    func withBus(_ body: (any EventBus) async throws -> Void) async throws {
        let bus = try await self.make()
        do {
            try await body(bus)
        } catch {
            await bus.close()
            throw error
        }
        await bus.close()
    }

    /// Throws unless `condition` holds.
    func require(_ condition: Bool, _ expectation: @autoclosure () -> String) throws {
        if !condition { throw Failure(description: expectation()) }
    }

    /// Throws unless `body` throws an error of this code.
    func requireError(
        _ code: EventLogError.Code, _ what: String, _ body: () async throws -> Void
    ) async throws {
        do {
            try await body()
        } catch {
            guard code ~= error else {
                throw Failure(description: "\(what) threw \(error) and should throw \(code)")
            }
            return
        }
        throw Failure(description: "\(what) went through and should throw \(code)")
    }

    /// Waits until `condition` holds.
    func eventually(_ expectation: String, _ condition: () async -> Bool) async throws {
        let end = ContinuousClock.now + self.patience
        while await !condition() {
            if ContinuousClock.now > end {
                throw Failure(description: "within \(self.patience), not so: \(expectation)")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}

/// What handlers were called with.
final class Collector: Sendable {
    private let seen = Recorded<[Event]>([])

    var events: [Event] { self.seen.withLock { $0 } }
    var types: [String] { self.events.map(\.type) }
    var count: Int { self.seen.withLock { $0.count } }

    func add(_ event: Event) { self.seen.withLock { $0.append(event) } }
}

/// What a test's handler throws.
struct Refusal: Error, CustomStringConvertible {
    var description: String { "this handler always throws" }
}
