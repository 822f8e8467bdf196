import SystemPackage
import Tidelog

extension ModelRun {
    /// Backs the log up, to where an earlier backup is; now and then goes on with what is restored of it.
    mutating func backUp() async throws {
        let goesOn = self.maker.random.chance(permille: 500)
        self.note("back up\(goesOn ? ", restore and go on with that" : "")")
        let backup = self.directory.appending("backup-\(self.copies)")
        try await self.log.backup(to: backup)
        guard goesOn else { return }
        // What was appended since is not there; here nothing was.
        await self.log.close()
        self.copies += 1
        self.path = self.directory.appending("log-\(self.copies).tidelog")
        let report = try await EventLog.restore(from: backup, to: self.path)
        try self.require(
            report.nextPosition.rawValue == self.model.end,
            "restored up to \(report.nextPosition), the log ends at \(self.model.end)")
        let verified = try await EventLog.verify(at: self.path, isDeep: true)
        try self.require(verified.isClean, "the restored log is damaged: \(verified.findings)")
        self.log = try await EventLog.open(at: self.path, configuration: self.configuration)
        try await self.compareStatistics()
    }
}
