// Buses and logs as services of swift-service-lifecycle; with the package's trait of that name.
#if ServiceLifecycle
    public import ServiceLifecycle

    extension InMemoryBus: Service {
        /// Waits for the graceful shutdown, or for the task to be cancelled, and closes the bus: what was
        /// accepted is delivered.
        public func run() async throws {
            try? await gracefulShutdown()
            await self.close()
        }
    }

    extension LogBus: Service {
        /// Waits for the graceful shutdown, or for the task to be cancelled, and closes the bus: what was
        /// committed is delivered. The log stays open.
        public func run() async throws {
            try? await gracefulShutdown()
            await self.close()
        }
    }

    extension EventLog: Service {
        /// Waits for the graceful shutdown, or for the task to be cancelled, and closes the log. Put it into
        /// the group before what uses it: a group shuts down in reverse order.
        public func run() async throws {
            try? await gracefulShutdown()
            await self.close()
        }
    }
#endif
