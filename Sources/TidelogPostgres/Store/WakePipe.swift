#if Postgres
    import Glibc

    /// Wakes a thread that sleeps until a socket has something to read, as well as without one.
    final class WakePipe: Sendable {
        private let ends: (read: Int32, write: Int32)

        init() {
            var ends: [Int32] = [-1, -1]
            if pipe(&ends) == 0 {
                for end in ends {
                    _ = fcntl(end, F_SETFL, O_NONBLOCK)
                    _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                }
            }
            self.ends = (ends[0], ends[1])
        }

        deinit {
            if self.ends.read >= 0 { close(self.ends.read) }
            if self.ends.write >= 0 { close(self.ends.write) }
        }

        /// Wakes the thread, now or when it next sleeps.
        func signal() {
            var byte: UInt8 = 1
            // A full pipe wakes it, too.
            _ = write(self.ends.write, &byte, 1)
        }

        /// Sleeps until a signal, something on `socket`, or for so long; answers whether the socket has something.
        func wait(for time: Duration?, beside socket: Int32?) -> Bool {
            // A process without room for a pipe looks again and again.
            let most: Duration? = self.ends.read < 0 ? .milliseconds(5) : nil
            let limit = [time, most].compactMap { $0 }.min()
            let milliseconds = limit.map { limit in
                let (seconds, attoseconds) = limit.components
                return Int32(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1))
            }
            // A number below zero is passed over (poll(2)).
            var entries = [
                pollfd(fd: self.ends.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: socket ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&entries, 2, milliseconds ?? -1)
            if entries[0].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 64)
                while read(self.ends.read, &bytes, bytes.count) == bytes.count {}
            }
            return entries[1].revents != 0
        }
    }
#endif
