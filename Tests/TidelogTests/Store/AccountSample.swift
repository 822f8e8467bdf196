import Tidelog

/// An account of money, as the tests of the typed layer know it.
enum Account: Aggregate {
    struct State: Codable, Sendable, Equatable {
        var balance = 0
        var bookings = 0
    }

    enum Change: Codable, Sendable, Equatable {
        case opened
        case deposited(amount: Int)
        case withdrawn(amount: Int, reason: String?)
    }

    enum Command: Sendable {
        case open, deposit(Int), withdraw(Int), nothing
    }

    struct NotEnough: Error, Equatable { var missing: Int }

    static let name = "account"
    static let initial = State()

    static func evolve(_ state: inout State, _ change: Change) {
        state.bookings += 1
        switch change {
        case .opened: break
        case .deposited(let amount): state.balance += amount
        case .withdrawn(let amount, _): state.balance -= amount
        }
    }

    static func decide(_ command: Command, _ state: State) throws -> [Change] {
        switch command {
        case .nothing: return []
        case .open: return [.opened]
        case .deposit(let amount): return [.deposited(amount: amount)]
        case .withdraw(let amount):
            guard state.balance >= amount else { throw NotEnough(missing: amount - state.balance) }
            return [.withdrawn(amount: amount, reason: nil)]
        }
    }
}

/// The same with snapshots of another schema.
enum NewAccount: Aggregate {
    static let name = Account.name
    static let initial = Account.State()
    static let stateSchema = "2"
    static func evolve(_ state: inout Account.State, _ change: Account.Change) {
        Account.evolve(&state, change)
    }
    static func decide(_ command: Account.Command, _ state: Account.State) throws -> [Account.Change] {
        try Account.decide(command, state)
    }
}
