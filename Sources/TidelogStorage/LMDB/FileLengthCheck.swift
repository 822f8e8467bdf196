/// Finds a file that was cut short, before it is mapped: touching a page behind the end of a mapped file
/// ends the process with SIGBUS.
struct FileLengthCheck {
    let descriptor: Int32
    let path: String

    /// - Throws: ``StorageError`` with code `corrupted` if the file ends before its last page in use.
    func run() throws(StorageError) {
        // The pages of a commit are written before its meta page, so the length is asked for after that.
        let meta = try MetaPage.newest(descriptor: self.descriptor, path: self.path)
        let size = try Files.status(descriptor: self.descriptor, path: self.path).size
        let (pages, overflow) = meta.lastPage.addingReportingOverflow(1)
        let needed = pages.multipliedReportingOverflow(by: UInt64(meta.pageSizeBytes))
        guard overflow || needed.overflow || UInt64(size) < needed.partialValue else { return }
        throw StorageError(
            .corrupted,
            "the file was cut short: it has \(size) bytes and its last page in use is number \(meta.lastPage) "
                + "of \(meta.pageSizeBytes) bytes; restore it from a backup or repair it", path: self.path)
    }
}
