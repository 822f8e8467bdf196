#if Postgres
    import Foundation
    import Glibc
    import Synchronization

    @testable import TidelogPostgres

    /// Stands between libpq and a server, and cuts connections after so many bytes, in whatever packet.
    final class CuttingProxy: Sendable {
        private struct State {
            var budget: @Sendable () -> Int? = { nil }
            var cuts = 0
            var swallowsAll = false
            var swallowsNew = false
            /// How often all connections that stood were cut.
            var generation = 0
            var accepted = 0
            /// Nothing goes through so many of the first connections.
            var swallowed = 0
            var isOver = false
            var listener: Int32 = -1
        }

        /// The directory of its socket; the port is 5555.
        let directory: String
        private let server: String
        private let state: Mutex<State>

        init(before server: PostgresServer) throws {
            self.server = server.directory + "/.s.PGSQL.5432"
            var template = Array("/tmp/tidelog-px-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
            self.directory = String(cString: made)
            let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            let bound = Self.withAddress(self.directory + "/.s.PGSQL.5555") { bind(listener, $0, $1) }
            guard bound == 0, listen(listener, 16) == 0 else { throw CocoaError(.fileWriteUnknown) }
            self.state = Mutex(State(listener: listener))
            PlainThread.start("proxy") { [self] in self.accept(listener) }
        }

        /// Each connection from now on is cut after as many bytes, both ways together, as `budget` says.
        func cut(_ budget: @escaping @Sendable () -> Int?) { self.state.withLock { $0.budget = budget } }

        /// Cuts all connections that stand.
        func cutAll() { self.state.withLock { $0.generation += 1 } }

        /// From now on nothing goes through, either way, though all connections stand.
        func swallow() { self.state.withLock { $0.swallowsAll = true } }

        /// The same for connections that are made from now on.
        func swallowNew() { self.state.withLock { $0.swallowsNew = true } }

        /// The same for connections that were made so far, and stand.
        func swallowOld() { self.state.withLock { $0.swallowed = $0.accepted } }

        /// Everything goes through again; what was swallowed is lost.
        func letThrough() {
            self.state.withLock { ($0.swallowsAll, $0.swallowsNew, $0.swallowed) = (false, false, 0) }
        }

        /// How often it cut.
        var cuts: Int { self.state.withLock { $0.cuts } }

        /// How the database is reached through it.
        func settings(_ database: String) -> PostgresSettings {
            PostgresSettings("host=\(self.directory) port=5555 user=tidelog dbname=\(database)")
        }

        func end() {
            self.state.withLock { state in
                state.isOver = true
                shutdown(state.listener, Int32(SHUT_RDWR))
            }
            try? FileManager.default.removeItem(atPath: self.directory)
        }

        private func accept(_ listener: Int32) {
            while true {
                let client = Glibc.accept(listener, nil, nil)
                if self.state.withLock({ $0.isOver }) || client < 0 { break }
                let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
                guard Self.withAddress(self.server, { connect(server, $0, $1) }) == 0 else {
                    close(client)
                    close(server)
                    continue
                }
                let (budget, isMute, number, generation) = self.state.withLock { state in
                    state.accepted += 1
                    return (state.budget(), state.swallowsNew, state.accepted, state.generation)
                }
                PlainThread.start("proxy-pump") { [self] in
                    self.pump(client, server, budget, isMute: isMute, number: number, generation)
                }
            }
            close(listener)
        }

        private func pump(
            _ client: Int32, _ server: Int32, _ budget: Int?, isMute: Bool, number: Int, _ generation: Int
        ) {
            var left = budget ?? .max
            var buffer = [UInt8](repeating: 0, count: 1 << 14)
            var ends = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            pumping: while poll(&ends, 2, 100) >= 0 {
                let (swallowsAll, isOver) = self.state.withLock {
                    (
                        $0.swallowsAll || number <= $0.swallowed,
                        $0.isOver || $0.generation != generation
                    )
                }
                if isOver { break }
                for (from, to) in [(0, 1), (1, 0)] where ends[from].revents != 0 {
                    let count = recv(ends[from].fd, &buffer, min(buffer.count, left), 0)
                    if count <= 0 { break pumping }
                    if swallowsAll || isMute { continue }
                    var sent = 0
                    while sent < count {
                        let now = buffer[sent..<count].withUnsafeBytes {
                            send(ends[to].fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                        }
                        if now <= 0 { break pumping }
                        sent += now
                    }
                    left -= count
                    if left <= 0 {
                        self.state.withLock { $0.cuts += 1 }
                        break pumping
                    }
                }
            }
            close(client)
            close(server)
        }

        private static func withAddress(
            _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
        ) -> Int32 {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
    }
#endif
