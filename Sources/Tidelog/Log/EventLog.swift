public import SystemPackage
package import TidelogStorage

/// A persistent, append-only log of events, kept in one directory.
///
/// ```swift
/// let log = try await EventLog.open(at: "farm.tidelog")
/// try await log.append(Event(type: "milk.weighed", payload: .init(json: #"{"litres":21.4}"#)), to: "cow-17")
/// for try await stored in log.read(.stream("cow-17")) { print(stored.position, stored.type) }
/// await log.close()
/// ```
///
/// What `append` has answered is on the disk. Reads never hold up appends. One log may be open in several
/// processes at once, but only once in each.
public final class EventLog: Sendable {
    /// The log's directory.
    public let directory: FilePath
    /// What it was opened with.
    public let configuration: EventLogConfiguration
    /// The schemas of its events.
    public let schemas: SchemaRegistry
    package let engine: LogEngine
    /// Durable subscriptions of this process.
    package let subscriptions: SubscriptionHub

    private init(directory: FilePath, configuration: EventLogConfiguration, engine: LogEngine) {
        self.directory = directory
        self.configuration = configuration
        self.engine = engine
        let schemas = SchemaRegistry(engine: engine, logger: configuration.logger)
        self.schemas = schemas
        self.subscriptions = SubscriptionHub(engine: engine, schemas: schemas, configuration)
        LibraryWarning.shared.give(to: configuration.logger)
    }

    deinit {
        // A log that was not closed: what was accepted is committed, off the cooperative pool.
        let (engine, subscriptions) = (self.engine, self.subscriptions)
        if !engine.hasClosed {
            detach {
                subscriptions.close()
                engine.close()
            }
        }
    }

    /// Opens the log in `directory`, creating it if there is none, and recovers its tail.
    ///
    /// - Throws: ``EventLogError`` with code `locked` if this process has it open already, `notFound` if it
    ///   is not there and may not be created, `corrupted`, `unsupportedFormat`, `permissionDenied`,
    ///   `invalidArgument` for a setting out of bounds.
    /// - Complexity: O(*n*) in the events after the last sealed segment.
    public static func open(
        at directory: FilePath, configuration: EventLogConfiguration = .init()
    ) async throws(EventLogError) -> EventLog {
        let options = try configuration.engineOptions(for: directory)
        let engine = try await blocking { () throws(StorageError) in
            try LogEngine(directory: directory.string, options: options)
        }
        let log = EventLog(directory: directory, configuration: configuration, engine: engine)
        _ = try? await log.run { [log] _ in
            log.subscriptions.resumeSchedules()
            log.removeOrphans()
        }
        return log
    }

    /// As ``open(at:configuration:)``, for threads that may block.
    public static func openBlocking(
        at directory: FilePath, configuration: EventLogConfiguration = .init()
    ) throws(EventLogError) -> EventLog {
        let options = try configuration.engineOptions(for: directory)
        let engine = try EventLogError.translating { () throws(StorageError) in
            try LogEngine(directory: directory.string, options: options)
        }
        let log = EventLog(directory: directory, configuration: configuration, engine: engine)
        log.subscriptions.resumeSchedules()
        log.removeOrphans()
        return log
    }

    /// Commits what was accepted, lets readers finish, and closes. A second call does nothing.
    ///
    /// Every later call on the log throws ``EventLogError`` with code `closed`.
    public func close() async {
        let (engine, subscriptions) = (self.engine, self.subscriptions)
        _ = try? await blocking { () throws(StorageError) in
            subscriptions.close()
            engine.close()
        }
    }

    /// As ``close()``, for threads that may block.
    public func closeBlocking() {
        self.subscriptions.close()
        self.engine.close()
    }

    /// Runs blocking work of the engine on its own threads.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable (LogEngine) throws(StorageError) -> Value
    ) async throws(EventLogError) -> Value {
        let engine = self.engine
        do throws(StorageError) {
            return try await engine.pool.run { () throws(StorageError) in try body(engine) }
        } catch {
            throw EventLogError(error)
        }
    }
}

/// Runs `body` on a thread of its own: for opening and closing, when the log's own threads are not there.
package func blocking<Value: Sendable>(
    _ body: @escaping @Sendable () throws(StorageError) -> Value
) async throws(EventLogError) -> Value {
    let result = await withUnsafeContinuation {
        (reply: UnsafeContinuation<Result<Value, StorageError>, Never>) in
        detach {
            do throws(StorageError) {
                reply.resume(returning: .success(try body()))
            } catch {
                reply.resume(returning: .failure(error))
            }
        }
    }
    switch result {
    case .success(let value): return value
    case .failure(let error): throw EventLogError(error)
    }
}

private func detach(_ body: @escaping @Sendable () -> Void) {
    do throws(StorageError) {
        _ = try WorkerThread(name: "tidelog", stackBytes: 4 << 20, body)
    } catch {
        body()  // the system has no thread left: late is better than never
    }
}
