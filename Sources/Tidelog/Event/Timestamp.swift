#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A moment in time: whole nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// It reaches from 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z. Its text is RFC 3339,
/// always in UTC; in `Codable` it is that text.
public struct Timestamp: Hashable, Sendable {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    public var nanosecondsSinceEpoch: Int64

    /// The moment that many nanoseconds after 1970-01-01T00:00:00Z.
    public init(nanosecondsSinceEpoch: Int64) { self.nanosecondsSinceEpoch = nanosecondsSinceEpoch }

    /// The system clock's reading.
    public static func now() -> Self {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return .init(nanosecondsSinceEpoch: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    /// A moment by its date and time of day in UTC, in the Gregorian calendar (also before 1582).
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` if there is no such date or time, or if it is
    ///   outside of what 64 bits of nanoseconds can tell.
    public init(
        year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0, nanosecond: Int = 0
    ) throws(EventLogError) {
        guard (1...12).contains(month), (1...GregorianDate.days(inMonth: month, of: year)).contains(day),
            (0..<24).contains(hour), (0..<60).contains(minute), (0..<60).contains(second),
            (0..<1_000_000_000).contains(nanosecond)
        else {
            throw EventLogError(
                .invalidArgument,
                "There is no such date or time: \(year)-\(month)-\(day) \(hour):\(minute):\(second)"
                    + " and \(nanosecond) ns.")
        }
        let seconds =
            (-9999...9999).contains(year)
            ? GregorianDate(year: year, month: month, day: day).daysSinceEpoch * 86_400 + hour * 3600
                + minute * 60 + second
            : Int.max / 2
        guard let time = Timestamp(seconds: seconds, nanoseconds: nanosecond) else {
            throw EventLogError(
                .invalidArgument,
                "The year \(year) is outside of what a timestamp can tell: 1677-09-21 to 2262-04-11.")
        }
        self = time
    }

    /// Whole seconds (rounded down) and the nanoseconds on top of them, or nil if 64 bits do not hold it.
    package init?(seconds: Int, nanoseconds: Int) {
        // Below zero the product alone may not fit where the sum does, so go up by one second first.
        let up = seconds < 0 ? 1 : 0
        let (product, first) = Int64(seconds + up).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, second) = product.addingReportingOverflow(Int64(nanoseconds - up * 1_000_000_000))
        guard !first, !second else { return nil }
        self.nanosecondsSinceEpoch = sum
    }

    /// Whole seconds since the epoch, rounded down.
    package var wholeSeconds: Int64 {
        let (quotient, remainder) = self.nanosecondsSinceEpoch.quotientAndRemainder(dividingBy: 1_000_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// The nanoseconds within the second, 0 to 999,999,999.
    package var nanosecondOfSecond: Int64 {
        let remainder = self.nanosecondsSinceEpoch % 1_000_000_000
        return remainder < 0 ? remainder + 1_000_000_000 : remainder
    }
}

extension Timestamp: Comparable, InstantProtocol {
    /// Whether the first comes before the second.
    public static func < (first: Self, second: Self) -> Bool {
        first.nanosecondsSinceEpoch < second.nanosecondsSinceEpoch
    }

    /// The moment `duration` later, cut to whole nanoseconds; stops at the ends of the range.
    public func advanced(by duration: Duration) -> Self {
        let (seconds, attoseconds) = duration.components
        let (whole, first) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (span, second) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        let (sum, third) = self.nanosecondsSinceEpoch.addingReportingOverflow(span)
        guard !first, !second, !third else {
            return .init(nanosecondsSinceEpoch: duration < .zero ? .min : .max)
        }
        return .init(nanosecondsSinceEpoch: sum)
    }

    /// How much later `other` is.
    public func duration(to other: Self) -> Duration {
        .nanoseconds(other.nanosecondsSinceEpoch) - .nanoseconds(self.nanosecondsSinceEpoch)
    }
}

/// A date of the Gregorian calendar, extended backwards, counted in days from 1970-01-01.
///
/// The arithmetic counts years from 1 March, so that the leap day is the last of its year, in eras of 400
/// years (146,097 days). See "chrono-Compatible Low-Level Date Algorithms" by Howard Hinnant.
struct GregorianDate {
    var year: Int, month: Int, day: Int

    init(year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The date that many days after 1970-01-01.
    init(daysSinceEpoch days: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        self.day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        self.month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        self.year = yearOfEra + era * 400 + (self.month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01; negative before.
    var daysSinceEpoch: Int {
        let fromMarch = self.month <= 2 ? self.year - 1 : self.year
        let era = (fromMarch >= 0 ? fromMarch : fromMarch - 399) / 400
        let yearOfEra = fromMarch - era * 400
        let dayOfYear = (153 * (self.month > 2 ? self.month - 3 : self.month + 9) + 2) / 5 + self.day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// How many days the month has in that year.
    static func days(inMonth month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
