extension Timestamp: LosslessStringConvertible, Codable {
    /// RFC 3339 in UTC with as many groups of three decimals as it takes: `2026-01-05T08:00:00Z`,
    /// `2026-01-05T08:00:00.120Z`, up to nine digits. Reading it back gives exactly this timestamp.
    public var description: String {
        String(unsafeUninitializedCapacity: Self.maximumTextBytes) { buffer in
            self.write(into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// The moment written in RFC 3339, or nil if it is not.
    public init?(_ description: String) {
        guard let time = try? Timestamp(rfc3339: description) else { return nil }
        self = time
    }

    /// The moment written in RFC 3339, such as `2026-01-05T08:00:00.123456789Z` or
    /// `2026-01-05T10:00:00+02:00`.
    ///
    /// `t`, `z` and a space in place of `T` are read too; a leap second counts as the second after it.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` if it is not such a text, has more than nine
    ///   decimals, or is outside of what a timestamp can tell.
    public init(rfc3339 text: String) throws(EventLogError) {
        var text = text
        let result = text.withUTF8 { RFC3339.parse(UnsafeRawBufferPointer($0)) }
        switch result {
        case .success(let parsed) where parsed.isExact: self = parsed.timestamp
        case .success:
            throw EventLogError(
                .malformedInput, "The time has more than nine decimals; nanoseconds are the finest kept.")
        case .failure(let fault):
            throw EventLogError(.malformedInput, "This is not a time in RFC 3339: \(fault.reason).")
        }
    }

    /// Reads RFC 3339 text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        try self.init(rfc3339: container.decode(String.self))
    }

    /// Writes RFC 3339 text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.description)
    }

    /// The most bytes that the text of a timestamp takes.
    package static var maximumTextBytes: Int { 30 }

    /// Writes the text, which takes at most `maximumTextBytes`, and says how many bytes it took.
    package func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let seconds = Int(self.wholeSeconds)
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let time = seconds - days * 86_400
        let date = GregorianDate(daysSinceEpoch: days)
        var at = 0
        func put(_ byte: UInt8) {
            buffer[at] = byte
            at += 1
        }
        func put(_ value: Int, digits: Int) {
            var value = value
            for place in stride(from: at + digits - 1, through: at, by: -1) {
                buffer[place] = UInt8(truncatingIfNeeded: value % 10) &+ 0x30
                value /= 10
            }
            at += digits
        }
        put(date.year, digits: 4)
        put(UInt8(ascii: "-"))
        put(date.month, digits: 2)
        put(UInt8(ascii: "-"))
        put(date.day, digits: 2)
        put(UInt8(ascii: "T"))
        put(time / 3600, digits: 2)
        put(UInt8(ascii: ":"))
        put(time / 60 % 60, digits: 2)
        put(UInt8(ascii: ":"))
        put(time % 60, digits: 2)
        let fraction = Int(self.nanosecondOfSecond)
        if fraction != 0 {
            put(UInt8(ascii: "."))
            if fraction % 1_000_000 == 0 {
                put(fraction / 1_000_000, digits: 3)
            } else if fraction % 1000 == 0 {
                put(fraction / 1000, digits: 6)
            } else {
                put(fraction, digits: 9)
            }
        }
        put(UInt8(ascii: "Z"))
        return at
    }
}

/// Reads the date and time of RFC 3339, section 5.6.
enum RFC3339 {
    /// What a text says.
    struct Parsed {
        var timestamp: Timestamp
        /// Whether nothing finer than a nanosecond was dropped.
        var isExact: Bool
        /// Whether the timestamp's own text is this very text.
        var isCanonical: Bool
    }

    /// Why a text is not one.
    struct Fault: Error {
        var reason: String
    }

    static func parse(_ text: UnsafeRawBufferPointer) -> Result<Parsed, Fault> {
        do throws(Fault) {
            return .success(try self.parsed(text))
        } catch {
            return .failure(error)
        }
    }

    private static func parsed(_ text: UnsafeRawBufferPointer) throws(Fault) -> Parsed {
        var reader = Reader(text: text)
        let year = try reader.number(4, "a year of four digits")
        try reader.expect(UInt8(ascii: "-"), "a hyphen after the year")
        let month = try reader.number(2, "a month of two digits")
        try reader.expect(UInt8(ascii: "-"), "a hyphen after the month")
        let day = try reader.number(2, "a day of two digits")
        let separator = reader.next()
        guard
            separator == UInt8(ascii: "T") || separator == UInt8(ascii: "t") || separator == UInt8(ascii: " ")
        else { throw Fault(reason: "a T after the date is missing") }
        let hour = try reader.number(2, "an hour of two digits")
        try reader.expect(UInt8(ascii: ":"), "a colon after the hour")
        let minute = try reader.number(2, "a minute of two digits")
        try reader.expect(UInt8(ascii: ":"), "a colon after the minute")
        let second = try reader.number(2, "a second of two digits")
        let fraction = try reader.fraction()
        let zone = try reader.zone()
        guard reader.at == text.count else { throw Fault(reason: "something follows the time zone") }

        guard (1...12).contains(month), (1...GregorianDate.days(inMonth: month, of: year)).contains(day)
        else {
            throw Fault(reason: "there is no such date")
        }
        guard hour < 24, minute < 60, second <= 60 else {
            throw Fault(reason: "there is no such time of day")
        }
        let days = GregorianDate(year: year, month: month, day: day).daysSinceEpoch
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - zone.offsetSeconds
        // A leap second is the last second of a day in UTC; here it is one with the second that follows.
        guard second < 60 || seconds % 86_400 == 0 else {
            throw Fault(reason: "there is no such leap second")
        }
        guard let timestamp = Timestamp(seconds: seconds, nanoseconds: fraction.nanoseconds) else {
            throw Fault(reason: "it is outside of 1677-09-21 to 2262-04-11")
        }
        return Parsed(
            timestamp: timestamp, isExact: fraction.isExact,
            isCanonical: separator == UInt8(ascii: "T") && zone.isCanonical && second < 60
                && fraction.isCanonical)
    }

    private struct Reader {
        let text: UnsafeRawBufferPointer
        var at = 0

        init(text: UnsafeRawBufferPointer) { self.text = text }

        var peek: UInt8? { self.at < self.text.count ? self.text[self.at] : nil }

        mutating func next() -> UInt8? {
            guard self.at < self.text.count else { return nil }
            defer { self.at += 1 }
            return self.text[self.at]
        }

        mutating func expect(_ byte: UInt8, _ what: StaticString) throws(Fault) {
            guard self.next() == byte else { throw Fault(reason: "\(what) is missing") }
        }

        mutating func number(_ digits: Int, _ what: StaticString) throws(Fault) -> Int {
            var value = 0
            for _ in 0..<digits {
                guard let byte = self.next(), byte &- 0x30 < 10 else {
                    throw Fault(reason: "\(what) is missing")
                }
                value = value * 10 + Int(byte &- 0x30)
            }
            return value
        }

        mutating func fraction() throws(Fault) -> (nanoseconds: Int, isExact: Bool, isCanonical: Bool) {
            guard self.peek == UInt8(ascii: ".") else { return (0, true, true) }
            self.at += 1
            var value = 0
            var digits = 0
            var isExact = true
            while let byte = self.peek, byte &- 0x30 < 10 {
                if digits < 9 {
                    value = value * 10 + Int(byte &- 0x30)
                } else if byte != 0x30 {
                    isExact = false
                }
                digits += 1
                self.at += 1
            }
            guard digits > 0 else { throw Fault(reason: "digits after the decimal point are missing") }
            let isCanonical = (digits == 3 || digits == 6 || digits == 9) && value % 1000 != 0
            for _ in min(digits, 9)..<9 { value *= 10 }
            return (value, isExact, isCanonical)
        }

        mutating func zone() throws(Fault) -> (offsetSeconds: Int, isCanonical: Bool) {
            let sign = self.next()
            if sign == UInt8(ascii: "Z") { return (0, true) }
            if sign == UInt8(ascii: "z") { return (0, false) }
            guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
                throw Fault(reason: "the time zone (Z or an offset) is missing")
            }
            let hours = try self.number(2, "the hours of the offset")
            try self.expect(UInt8(ascii: ":"), "a colon in the offset")
            let minutes = try self.number(2, "the minutes of the offset")
            guard hours < 24, minutes < 60 else { throw Fault(reason: "there is no such offset") }
            let seconds = hours * 3600 + minutes * 60
            return (sign == UInt8(ascii: "-") ? -seconds : seconds, false)
        }
    }
}
