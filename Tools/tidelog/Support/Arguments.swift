public import ArgumentParser
public import Tidelog

extension Position: ExpressibleByArgument {
    /// Reads the argument as it stands on the command line; nil if it cannot be one.
    public init?(argument: String) { self.init(argument) }
}

extension Revision: ExpressibleByArgument {
    /// Reads the argument as it stands on the command line; nil if it cannot be one.
    public init?(argument: String) { self.init(argument) }
}

extension EventID: ExpressibleByArgument {
    /// Reads the argument as it stands on the command line; nil if it cannot be one.
    public init?(argument: String) {
        if argument.isEmpty { return nil }
        self.init(argument)
    }
}

/// Turns what was typed into values; says how to write it where it cannot.
enum Parse {
    /// `2013-01-01T05:17:00-05:00`, `2013-01-01`, or how long ago: `15m`, `2h`, `7d`.
    @Sendable static func timestamp(_ text: String) throws -> Timestamp {
        if let ago = Self.seconds(text) {
            return Timestamp.now().advanced(by: .seconds(-ago))
        }
        let whole = text.utf8.count == 10 ? text + "T00:00:00Z" : text
        do {
            return try Timestamp(rfc3339: whole)
        } catch {
            throw ValidationError(
                "write a time as 2013-01-01T05:17:00-05:00, a day as 2013-01-01, or how long ago as 15m, 2h, 7d"
            )
        }
    }

    /// `90s`, `15m`, `2h`, `7d`, `3w`.
    @Sendable static func duration(_ text: String) throws -> Duration {
        guard let seconds = Self.seconds(text) else {
            throw ValidationError("write a duration as 90s, 15m, 2h, 7d or 3w")
        }
        return .seconds(seconds)
    }

    private static func seconds(_ text: String) -> Int? {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        guard let unit = text.last.flatMap({ units[$0] }), let value = UInt32(text.dropLast()) else {
            return nil
        }
        return Int(value) * unit
    }

    /// `500000`, `64MB`, `1GiB`.
    @Sendable static func bytes(_ text: String) throws -> Int {
        let units: [(String, Int)] = [
            ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40), ("kb", 1000),
            ("mb", 1_000_000), ("gb", 1_000_000_000), ("tb", 1_000_000_000_000), ("b", 1),
        ]
        let lower = text.lowercased()
        let unit = units.first { lower.hasSuffix($0.0) } ?? ("", 1)
        guard let value = Int(lower.dropLast(unit.0.count)), value >= 0 else {
            throw ValidationError("write a size as 500000, 64MB or 1GiB")
        }
        let product = value.multipliedReportingOverflow(by: unit.1)
        guard !product.overflow else { throw ValidationError("that is more than can be counted") }
        return product.partialValue
    }

    /// `order.*`.
    @Sendable static func pattern(_ text: String) throws -> TypePattern {
        do {
            return try TypePattern(text)
        } catch {
            throw ValidationError(Ending.text(of: error))
        }
    }

    /// `none`, `exists`, `any`, or the revision of the stream's last event.
    @Sendable static func expectation(_ text: String) throws -> ExpectedRevision {
        switch text {
        case "any": return .any
        case "none": return .noStream
        case "exists": return .streamExists
        default:
            guard let revision = Revision(text) else {
                throw ValidationError("write none, exists, any, or the revision of the stream's last event")
            }
            return .exact(revision)
        }
    }

    /// A number of things that must be at least `least`.
    static func atLeast(_ least: Int) -> @Sendable (String) throws -> Int {
        { text in
            guard let value = Int(text), value >= least else {
                throw ValidationError("write a whole number of at least \(least)")
            }
            return value
        }
    }
}
