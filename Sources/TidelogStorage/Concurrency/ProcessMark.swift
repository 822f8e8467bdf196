import Glibc
import Synchronization

/// Tells whether this is still the process that opened something, or a child of it made by `fork`, without a
/// call of the system each time.
///
/// The mark is the process's number in a page that the kernel clears in every child, so that it costs one
/// load. Where the kernel cannot do that (before Linux 4.14), the system is asked each time.
enum ProcessMark {
    /// The address of the page; 0 if there is none.
    private static let page: UInt = {
        let size = Int(sysconf(Int32(_SC_PAGESIZE)))
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else { return 0 }
        let wipeOnFork: Int32 = 18  // MADV_WIPEONFORK, which Swift's Glibc module lacks
        guard madvise(memory, size, wipeOnFork) == 0 else {
            munmap(memory, size)
            return 0
        }
        memory.bindMemory(to: Atomic<pid_t>.self, capacity: 1).initialize(to: Atomic(0))
        return UInt(bitPattern: memory)
    }()

    /// The number of this process.
    @inline(__always)
    static var current: pid_t {
        guard let mark = UnsafePointer<Atomic<pid_t>>(bitPattern: self.page) else { return getpid() }
        let process = mark.pointee.load(ordering: .relaxed)
        return process != 0 ? process : self.renewed(mark)
    }

    @inline(never)
    private static func renewed(_ mark: UnsafePointer<Atomic<pid_t>>) -> pid_t {
        let process = getpid()
        mark.pointee.store(process, ordering: .relaxed)
        return process
    }
}
