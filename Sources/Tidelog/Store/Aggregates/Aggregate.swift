/// A thing of the domain whose state follows from the events of its stream.
///
/// Everything here is a pure function: a command and a state give events or an error, a state and an event
/// give the next state. ``Repository`` does the reading and the writing.
///
/// ```swift
/// enum Account: Aggregate {
///     struct State: Codable, Sendable { var balance = 0 }
///     enum Change: Codable, Sendable { case deposited(amount: Int), withdrawn(amount: Int) }
///     enum Command: Sendable { case deposit(Int), withdraw(Int) }
///     static let name = "account"
///     static let initial = State()
///     static func evolve(_ state: inout State, _ change: Change) {
///         switch change {
///         case .deposited(let amount): state.balance += amount
///         case .withdrawn(let amount): state.balance -= amount
///         }
///     }
///     static func decide(_ command: Command, _ state: State) throws -> [Change] {
///         switch command {
///         case .deposit(let amount): return [.deposited(amount: amount)]
///         case .withdraw(let amount):
///             guard state.balance >= amount else { throw Refusal.notEnough }
///             return [.withdrawn(amount: amount)]
///         }
///     }
/// }
/// ```
public protocol Aggregate: Sendable {
    /// What the events add up to. It is what snapshots keep, in JSON.
    associatedtype State: Codable & Sendable
    /// What can happen: the domain's events, by custom an enum.
    associatedtype Change: Sendable
    /// What can be asked for.
    associatedtype Command: Sendable

    /// What this kind of thing is called: the stream of one with the id `7` is `name-7`.
    static var name: String { get }
    /// The state before the first event.
    static var initial: State { get }
    /// What kind of state a snapshot holds. Change it with the meaning or the shape of `State`: snapshots of
    /// another schema are passed over, and the events are read instead. Default: "1".
    static var stateSchema: String { get }

    /// What an event does to the state. It must not fail: the event has happened.
    static func evolve(_ state: inout State, _ change: Change)
    /// What a command leads to; an empty answer changes nothing, and an error refuses it.
    static func decide(_ command: Command, _ state: State) throws -> [Change]
}

extension Aggregate {
    /// The schema of states that never changed.
    public static var stateSchema: String { "1" }

    /// The stream of the one with this id.
    public static func stream(of id: String) -> String { "\(self.name)-\(id)" }
}
