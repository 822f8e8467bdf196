import CTidelogLMDB

/// A version of the LMDB library.
package struct LMDBVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let major: Int
    package let minor: Int
    package let patch: Int

    package init(_ major: Int, _ minor: Int, _ patch: Int) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// The version that this process runs with.
    package static var linked: Self {
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        _ = mdb_version(&major, &minor, &patch)
        return Self(Int(major), Int(minor), Int(patch))
    }

    /// The version that everything here was measured and tested with.
    package static let tested = Self(0, 9, 24)

    /// Why this version should not be relied on; nil if nothing is known against it.
    ///
    /// Versions 0.9.26 to 0.9.31 carry a change to robust mutexes that was taken back in 0.9.32: with them a
    /// writer that dies can leave the lock behind in a state that the next one does not recover. The file
    /// format is that of the 0.9 series: 1.0 writes another one.
    package var warning: String? {
        if self >= Self(0, 9, 26) && self <= Self(0, 9, 31) {
            return "LMDB \(self) carries a faulty change to robust mutexes: "
                + "use 0.9.24, 0.9.25, or 0.9.32 and later"
        }
        if self.major != 0 || self.minor != 9 {
            return "LMDB \(self) is not of the 0.9 series, the only one this was made for"
        }
        if self < Self.tested { return "LMDB \(self) is older than \(Self.tested), the oldest one tested" }
        return nil
    }

    /// Whether nothing is known against this version.
    package var isSupported: Bool { self.warning == nil }

    package var description: String { "\(self.major).\(self.minor).\(self.patch)" }

    package static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}
