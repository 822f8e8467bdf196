import Glibc

/// A clock that nobody sets: nanoseconds since the machine started, also while it slept, and which start that
/// was. Times of two starts cannot be compared.
package enum BootClock {
    /// Nanoseconds since the machine started.
    @inline(__always)
    package static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// A number for the machine's present run; never 0.
    package static let boot: UInt64 = {
        var bytes = [UInt8](repeating: 0, count: 64)
        let descriptor = Glibc.open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 1 }
        defer { close(descriptor) }
        let count = read(descriptor, &bytes, bytes.count)
        return max(1, XXH64.hash(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)))
    }()
}
