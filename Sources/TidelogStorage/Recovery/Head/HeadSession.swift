/// A walk through the head of a log that this process does not have open.
///
/// Where the file can be opened as an environment, a read transaction is held for the length of the walk, so
/// that another process may go on appending. LMDB is asked for nothing else: it reads the two meta pages,
/// which were checked before, and no other page.
enum HeadSession {
    /// Walks the head in `directory`.
    ///
    /// - Parameter isExclusive: whether it is certain that nobody has the log open: then no environment is
    ///   needed.
    /// - Throws: ``StorageError`` with code `locked` if this process has the log open, `permission`, or
    ///   `unsupportedFormat` for a newer version; damage is told through `emit`.
    static func run(
        directory: String, mode: HeadWalk.Mode, isExclusive: Bool, emit: @escaping HeadWalk.Emit
    ) throws(StorageError) {
        let path = directory + "/" + Head.Names.head
        switch try Files.kind(path) {
        case .file: break
        case nil:
            try self.give(up: "the head is missing", emit)
            return
        case .symbolicLink:
            try self.give(up: "a symbolic link stands in the head's place", emit)
            return
        default:
            try self.give(up: "something other than a file stands in the head's place", emit)
            return
        }
        if isExclusive {
            // Tells of a file that was cut short, which the walk sees only where it comes to a missing page.
            do throws(StorageError) {
                let descriptor = try Files.openReadOnlyNoFollow(path)
                try FileLengthCheck(descriptor: descriptor.number, path: path).run()
                descriptor.close()
            } catch {
                guard let finding = Self.finding(error) else { throw error }
                if mode.reports, let finding { try emit(.finding(finding)) }
            }
            try self.walk(path, mode, emit)
            return
        }
        do throws(StorageError) {
            let environment = try self.open(directory, path)
            defer { environment.close() }
            try self.run(environment, mode: mode, emit: emit)
        } catch {
            guard let finding = Self.finding(error) else { throw error }
            // Nobody else can have such a file open, or is not kept from it by us: it is read as it is.
            if mode.reports, let finding { try emit(.finding(finding)) }
            try self.walk(path, mode, emit)
        }
    }

    /// Walks the file as it is, without an environment.
    private static func walk(
        _ path: String, _ mode: HeadWalk.Mode, _ emit: @escaping HeadWalk.Emit
    ) throws(StorageError) {
        let descriptor = try Files.openReadOnlyNoFollow(path)
        _ = try HeadWalk(descriptor: descriptor.number, path: path, mode: mode, emit: emit).run(snapshot: nil)
        descriptor.close()
    }

    /// Walks the newest commit of an open environment.
    static func run(
        _ environment: Environment, mode: HeadWalk.Mode, emit: @escaping HeadWalk.Emit
    ) throws(StorageError) {
        for _ in 0..<1000 {
            let isDone = try environment.read { transaction throws(StorageError) in
                let walk = try HeadWalk(
                    descriptor: environment.fileDescriptor, path: environment.path, mode: mode, emit: emit)
                return try walk.run(snapshot: transaction.id)
            }
            if isDone { return }
        }
        throw StorageError(
            .locked, "commits follow each other too fast to look at one; try again", path: environment.path)
    }

    private static func open(_ directory: String, _ path: String) throws(StorageError) -> Environment {
        var options = Environment.Options()
        options.readOnly = true
        options.mapSizeBytes = EngineOptions().mapSizeBytes
        let lock = try FileLock(directory + "/" + Head.Names.openLock, .exclusive, waiting: true)
        do throws(StorageError) {
            let environment = try Environment(path: path, options: options)
            lock.release()
            return environment
        } catch {
            lock.release()
            throw error
        }
    }

    /// What an error of opening says of the file; nil in nil if it is about the surroundings alone, nil if
    /// the walk cannot go on.
    private static func finding(_ error: StorageError) -> RecoveryFinding?? {
        switch error.code {
        case .corrupted, .unsupportedFormat, .poisoned:
            // A newer version of our own format is found by the walk, behind a checksum.
            .some(RecoveryFinding(.headFile, error.message, file: Head.Names.head))
        case .permission, .mapFull, .diskFull, .limitExceeded:
            .some(nil)
        default: nil
        }
    }

    private static func give(up message: String, _ emit: HeadWalk.Emit) throws(StorageError) {
        try emit(.finding(RecoveryFinding(.headFile, message, file: Head.Names.head)))
        try emit(.end)
    }
}
