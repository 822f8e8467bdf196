// Event sourcing: an account is what happened to it. Run with: swift run example-event-sourcing
import SystemPackage
import Tidelog
import TidelogTesting

enum Account: Aggregate {
    struct State: Codable, Sendable { var balance = 0 }
    enum Change: Codable, Sendable { case deposited(amount: Int), withdrawn(amount: Int) }
    enum Command: Sendable { case deposit(Int), withdraw(Int) }
    struct NotEnough: Error { var balance: Int }

    static let name = "account"
    static let initial = State()

    static func evolve(_ state: inout State, _ change: Change) {
        switch change {
        case .deposited(let amount): state.balance += amount
        case .withdrawn(let amount): state.balance -= amount
        }
    }

    static func decide(_ command: Command, _ state: State) throws -> [Change] {
        switch command {
        case .deposit(let amount): return [.deposited(amount: amount)]
        case .withdraw(let amount):
            guard state.balance >= amount else { throw NotEnough(balance: state.balance) }
            return [.withdrawn(amount: amount)]
        }
    }
}

try await withTemporaryLog { _, open in
    let log = try await open(.init())
    var accounts = Repository<Account, EventLog>(log)
    accounts.snapshotEvery = 10

    // Twelve at once, each decided on what the others left.
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<12 { group.addTask { [accounts] in try await accounts.execute(.deposit(5), on: "7") } }
        try await group.waitForAll()
    }
    try await accounts.execute(.withdraw(35), on: "7")
    do {
        try await accounts.execute(.withdraw(100), on: "7")
    } catch let refusal as Account.NotEnough {
        print("refused: the balance is \(refusal.balance)")
    }

    let now = try await accounts.load("7")
    print("now: \(now.state.balance), from a snapshot and \(now.eventsRead) events")
    let then = try await accounts.load("7", asOf: .position(3))
    print("after the first four events: \(then.state.balance)")
    for stored in try await log.events(.stream("account-7")).suffix(1) {
        print("\(stored.type) \(stored.payload.text ?? "")")
    }
    await log.close()
}
