#if Postgres
    import Foundation
    import Glibc
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// A file system of a few megabytes under a server's directory; only the superuser can make one.
    private struct SmallDisk {
        let path: String

        init(_ server: PostgresServer, megabytes: Int) throws {
            self.path = server.directory + "/small-" + UUID().uuidString
            try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
            guard mount("tmpfs", self.path, "tmpfs", 0, "size=\(megabytes)m") == 0 else {
                throw CocoaError(.fileWriteUnknown)
            }
            var status = stat()
            stat(server.directory + "/data", &status)
            chown(self.path, status.st_uid, status.st_gid)
            chmod(self.path, 0o700)
        }

        /// Takes all the room that is left.
        func fill() {
            let file = open(self.path + "/filling", O_CREAT | O_WRONLY, 0o600)
            defer { Glibc.close(file) }
            let zeros = [UInt8](repeating: 0, count: 4096)
            while write(file, zeros, zeros.count) > 0 {}
        }

        func grow(megabytes: Int) {
            mount("tmpfs", self.path, "tmpfs", UInt(MS_REMOUNT), "size=\(megabytes)m")
        }

        func end() { umount2(self.path, Int32(MNT_DETACH)) }

        /// Whether this process may mount file systems: root, outside of most containers.
        static let isPossible: Bool = {
            var template = Array("/tmp/tidelog-mount-XXXXXX".utf8CString)
            guard getuid() == 0, let made = mkdtemp(&template) else { return false }
            defer { rmdir(made) }
            guard mount("tmpfs", made, "tmpfs", 0, "size=1m") == 0 else { return false }
            umount2(made, Int32(MNT_DETACH))
            return true
        }()
    }

    @Suite(
        "A full disk of the server",
        .enabled(if: SmallDisk.isPossible, "it needs a small file system, which only root can mount"))
    struct FullDiskTests {
        /// Runs `body` with a database on a disk of 24 MB, of which an empty one takes eight.
        private func withSmallDisk(
            _ body: (_ server: PostgresServer, _ database: String, _ disk: SmallDisk) async throws -> Void
        ) async throws {
            let server = try PostgresServer(["fsync=off"])
            defer { server.end() }
            let disk = try SmallDisk(server, megabytes: 24)
            defer { disk.end() }
            let administrator = try server.connect()
            try administrator.execute("CREATE TABLESPACE small LOCATION '\(disk.path)'")
            try administrator.execute("CREATE DATABASE full_disk TABLESPACE small")
            try await body(server, "full_disk", disk)
        }

        private func events(_ count: Int, seed: UInt64) -> [Event] {
            var random = SeededGenerator(seed: seed)
            return (0..<count).map { _ in
                Event(
                    type: "t", stream: "s",
                    payload: .init(
                        bytes: (0..<4000).map { _ in UInt8(truncatingIfNeeded: random.next()) }[...]))
            }
        }

        @Test("stops the exporter with a typed error, loses nothing, and lets it go on when there is room")
        func exporting() async throws {
            try await withSmallDisk { server, database, disk in
                try await withTemporaryLog { _, open in
                    let log = try await open(.init())
                    for seed in 0..<10 { try await log.append(self.events(500, seed: UInt64(seed))) }
                    let exporter = try exporter(log, server.settings(database)) { $0.batchEvents = 200 }
                    exporter.start()
                    #expect(try await eventually { exporter.status.lastError?.code == .storageFull })
                    #expect(exporter.status.lastError?.sqlState == "53100")
                    #expect(exporter.status.lagEvents > 0)
                    disk.grow(megabytes: 200)
                    exporter.resume()
                    #expect(try await eventually { exporter.status.lagEvents == 0 })
                    await exporter.stop()
                    #expect(
                        try server.events(in: database) == (try await TidelogPostgresTests.events(of: log)))
                    #expect(try await exporter.check(0..<5000).isEqual)
                    await log.close()
                }
            }
        }

        @Test("refuses a connection for which the server must write, with an error that is tried again")
        func connecting() async throws {
            try await withSmallDisk { server, database, disk in
                try server.connect(database).execute("SELECT 1")
                // What a connection reads first, and the server writes anew when it is not there.
                let files = FileManager.default.enumerator(atPath: disk.path)?.compactMap { $0 as? String }
                let cached = (files ?? []).filter { $0.hasSuffix("pg_internal.init") }
                #expect(!cached.isEmpty)
                for file in cached { try FileManager.default.removeItem(atPath: disk.path + "/" + file) }
                disk.fill()
                let error = #expect(throws: PostgresError.self) { try server.connect(database) }
                #expect(error?.code == .storageFull)
                disk.grow(megabytes: 200)
                try server.connect(database).execute("SELECT 1")
            }
        }

        @Test(
            "makes appends to the store fail with a typed error, whole, and lets them go on when there is room"
        )
        func appending() async throws {
            try await withSmallDisk { server, database, disk in
                let store = try await server.openStore(database)
                var stored: [EventID] = []
                var refused: [Event] = []
                for seed in 0..<100 where refused.isEmpty {
                    let batch = self.events(100, seed: UInt64(seed))
                    do throws(EventLogError) {
                        try await store.append(batch, if: .always)
                        stored += batch.map(\.id)
                    } catch {
                        #expect(error.code == .storageFull)
                        refused = batch
                    }
                }
                #expect(!refused.isEmpty)
                // A connection that is made now may find no room for the server's own files.
                do throws(EventLogError) {
                    #expect(try await store.events(.all).map(\.id) == stored)
                } catch {
                    #expect(error.code == .storageFull)
                }
                disk.grow(megabytes: 200)
                let result = try await store.append(refused, if: .always)
                #expect(result.positions.lowerBound.rawValue == UInt64(stored.count) && !result.isRepeat)
                #expect(try await store.events(.all).map(\.id) == stored + refused.map(\.id))
                await store.close()
            }
        }
    }
#endif
