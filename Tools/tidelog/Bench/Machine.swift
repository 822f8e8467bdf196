import Glibc
import Tidelog

/// Where a benchmark ran.
struct Machine {
    let processor: String
    let cores: Int
    let kernel: String

    init() {
        self.processor =
            Self.lines(of: "/proc/cpuinfo").lazy.filter { $0.hasPrefix("model name") }
            .compactMap { $0.split(separator: ":").last.map { String($0.drop { $0 == " " }) } }.first
            ?? "an unknown processor"
        self.cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        self.kernel = Self.lines(of: "/proc/sys/kernel/osrelease").first ?? "?"
    }

    /// For people.
    var description: String { "\(self.processor), \(self.cores) cores, Linux \(self.kernel)" }

    private static func lines(of path: String) -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let bytes = (try? readAll(descriptor, name: path)) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
