import CTidelogSystem
import Glibc

/// Calls of Linux that Swift's Glibc module lacks.
enum SystemCalls {
    /// The type of the file system that holds `path`, as in linux/magic.h.
    static func fileSystemType(_ path: String) throws(StorageError) -> UInt32 {
        UInt32(
            truncatingIfNeeded: try retrying("asking for the file system", path: path) {
                tidelog_file_system_type(path)
            })
    }

    /// The type of the file system that holds an open file.
    static func fileSystemType(descriptor: Int32, path: String) throws(StorageError) -> UInt32 {
        UInt32(
            truncatingIfNeeded: try retrying("asking for the file system", path: path) {
                tidelog_file_system_type_of(descriptor)
            })
    }

    /// Names the calling thread; the first 15 bytes count.
    static func nameThread(_ name: String) {
        tidelog_name_thread(String(decoding: name.utf8.prefix(15), as: UTF8.self))
    }

    /// Exchanges what stands under two names of one file system, in one step.
    ///
    /// - Returns: false if the file system cannot do that; nothing has changed then.
    static func exchange(_ path: String, _ other: String) throws(StorageError) -> Bool {
        if tidelog_exchange(path, other) == 0 { return true }
        let number = errno
        if number == EINVAL || number == ENOSYS || number == ENOTSUP { return false }
        throw .system(number, doing: "exchanging it for \(other)", path: path)
    }
}
