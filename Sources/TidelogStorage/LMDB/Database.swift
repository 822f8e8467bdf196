/// A named database of an environment; valid as long as the environment is open.
package struct Database: Sendable, Hashable {
    /// Its name in the file.
    package let name: String
    /// Whether its keys are integers of eight bytes, ordered by value.
    package let integerKeys: Bool
    /// LMDB's number for it.
    let handle: UInt32
    /// The number of the environment that it belongs to, so that it is not used with another one.
    let environment: UInt64
}

/// Where a scan starts.
package enum CursorStart: Sendable {
    /// At the first entry.
    case first
    /// At the last entry.
    case last
    /// At the first entry whose key is the given one or after it.
    case atOrAfter([UInt8])
    /// At the last entry whose key is the given one or before it.
    case atOrBefore([UInt8])
    /// As `atOrAfter`, in a database with integer keys.
    case atOrAfterInteger(UInt64)
    /// As `atOrBefore`, in a database with integer keys.
    case atOrBeforeInteger(UInt64)
}

/// Which way a scan goes on.
package enum ScanDirection: Sendable {
    /// To larger keys.
    case forwards
    /// To smaller keys.
    case backwards
}

/// What an environment says about itself.
package struct EnvironmentInfo: Sendable, Hashable {
    /// The size of the map, which the file cannot outgrow.
    package let mapSizeBytes: Int
    /// The number of the last page in use.
    package let lastPage: Int
    /// The newest committed transaction.
    package let lastTransactionID: UInt64
    /// The size of a page.
    package let pageSizeBytes: Int
    /// How many reader slots there are.
    package let maxReaders: Int
    /// How many reader slots have been taken at some time: an upper bound of those taken now.
    package let readersInUse: Int

    /// The bytes of the file up to the last page in use.
    package var usedBytes: Int { (self.lastPage + 1) * self.pageSizeBytes }
}
