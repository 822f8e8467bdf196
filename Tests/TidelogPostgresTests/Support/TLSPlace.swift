#if Postgres
    import Foundation
    import Glibc
    import Testing

    @testable import TidelogPostgres

    /// A server on a port of the loopback, with a certificate for `localhost` or without TLS.
    struct TLSPlace {
        let server: PostgresServer
        let port: Int

        init(hasTLS: Bool) throws {
            var failure: (any Error)?
            // Somebody else may take the port before the server does.
            for _ in 0..<5 {
                let port = try Self.freePort()
                do {
                    self.server = try PostgresServer(
                        ["fsync=off", "listen_addresses='127.0.0.1'", "port=\(port)"]
                            + (hasTLS ? ["ssl=on"] : [])
                    ) { directory in
                        if hasTLS { try Self.makeCertificate("server", in: directory) }
                        try Self.makeCertificate("other", in: directory)
                    }
                    self.port = port
                    return
                } catch { failure = error }
            }
            throw try #require(failure)
        }

        /// Makes a certificate for `localhost` that is its own root.
        private static func makeCertificate(_ name: String, in directory: String) throws {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout", "\(directory)/\(name).key", "-out", "\(directory)/\(name).crt",
            ]
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0, "openssl made no certificate")
        }

        private static func freePort() throws -> Int {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
                }
            }
            try #require(status == 0)
            return Int(UInt16(bigEndian: address.sin_port))
        }

        func settings(_ more: String, host: String = "localhost", user: String = "tidelog")
            -> PostgresSettings
        {
            PostgresSettings(
                "host=\(host) hostaddr=127.0.0.1 port=\(self.port) user=\(user) dbname=postgres \(more)")
        }

        func root(_ name: String) -> String { "sslrootcert=\(self.server.directory)/\(name).crt" }
    }
#endif
