import Foundation
import Testing
import Tidelog
import TidelogTesting

@Suite("Timestamps")
struct TimestampTests {
    @Test(
        "print as RFC 3339 in UTC with groups of three decimals",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"), (120_000_000, "1970-01-01T00:00:00.120Z"),
            (120_500_000, "1970-01-01T00:00:00.120500Z"), (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (1_767_225_600_000_000_000, "2026-01-01T00:00:00Z"),
            (Int64.max, "2262-04-11T23:47:16.854775807Z"), (Int64.min, "1677-09-21T00:12:43.145224192Z"),
            (-2_208_988_800_000_000_000, "1900-01-01T00:00:00Z"),
        ] as [(Int64, String)])
    func prints(nanoseconds: Int64, text: String) throws {
        #expect(Timestamp(nanosecondsSinceEpoch: nanoseconds).description == text)
        #expect(try Timestamp(rfc3339: text).nanosecondsSinceEpoch == nanoseconds)
    }

    @Test(
        "are read from every form that RFC 3339 allows",
        arguments: [
            ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520Z"),
            ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57Z"),
            ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00Z"),
            ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"),
            ("1990-12-31T23:59:60.5Z", "1991-01-01T00:00:00.500Z"),
            ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870Z"),
            ("2018-04-05t17:31:00z", "2018-04-05T17:31:00Z"),
            ("2018-04-05 17:31:00Z", "2018-04-05T17:31:00Z"),
            ("2018-04-05T17:31:00-00:00", "2018-04-05T17:31:00Z"),
            ("2018-04-05T17:31:00.1234567890000Z", "2018-04-05T17:31:00.123456789Z"),
            ("2020-02-29T23:59:59+23:59", "2020-02-29T00:00:59Z"),
        ])
    func reads(text: String, canonical: String) throws {
        #expect(try Timestamp(rfc3339: text).description == canonical)
    }

    @Test(
        "are not read from anything else",
        arguments: [
            "", "2018", "2018-04-05", "2018-04-05T17:31:00", "2018-04-05T17:31Z", "2018-4-5T17:31:00Z",
            "2018-13-01T00:00:00Z", "2018-00-01T00:00:00Z", "2018-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
            "2018-04-31T00:00:00Z", "2018-04-00T00:00:00Z", "2018-04-05T24:00:00Z", "2018-04-05T17:60:00Z",
            "2018-04-05T17:31:61Z", "2018-04-05T17:31:60Z", "2018-04-05T17:31:00.Z", "2018-04-05T17:31:00,5Z",
            "2018-04-05T17:31:00+2:00", "2018-04-05T17:31:00+24:00", "2018-04-05T17:31:00+01:60",
            "2018-04-05T17:31:00+0100", "2018-04-05T17:31:00Zx", " 2018-04-05T17:31:00Z",
            "2018-04-05X17:31:00Z",
            "2018-04-05T17:31:00.1234567891Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
            "1677-09-21T00:12:43.145224191Z", "2262-04-11T23:47:16.854775808Z", "２018-04-05T17:31:00Z",
        ])
    func refuses(text: String) {
        #expect { try Timestamp(rfc3339: text) } throws: { EventLogError.Code.malformedInput ~= $0 }
        #expect(Timestamp(text) == nil)
    }

    @Test("come back exactly from their text, whatever their nanoseconds")
    func roundTrip() throws {
        let seed = TestSeed.draw(for: "random times")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            var nanoseconds = Int64(bitPattern: random.next())
            switch random.below(4) {
            case 0: nanoseconds -= nanoseconds % 1_000_000_000
            case 1: nanoseconds -= nanoseconds % 1_000_000
            case 2: nanoseconds -= nanoseconds % 1000
            default: break
            }
            let time = Timestamp(nanosecondsSinceEpoch: nanoseconds)
            #expect(try Timestamp(rfc3339: time.description) == time, "seed \(seed)")
        }
    }

    @Test("agree with Foundation's calendar on every 17th day of their range")
    func calendar() throws {
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        for day in stride(from: -106_750, to: 106_750, by: 17) {
            let time = Timestamp(nanosecondsSinceEpoch: Int64(day) * 86_400_000_000_000)
            let parts = calendar.dateComponents([.year, .month, .day], from: time.date)
            let (year, month, dayOfMonth) = try (
                #require(parts.year), #require(parts.month), #require(parts.day)
            )
            // Foundation goes over to the Julian calendar before 1582, out of our range.
            #expect(try Timestamp(year: year, month: month, day: dayOfMonth) == time)
            #expect(time.description.hasPrefix("\(year)-"))
        }
    }

    @Test("refuse dates that there are not, with a typed error")
    func components() throws {
        #expect(try Timestamp(year: 2024, month: 2, day: 29, hour: 23).description == "2024-02-29T23:00:00Z")
        for (year, month, day, hour) in [
            (2023, 2, 29, 0), (2024, 13, 1, 0), (2024, 1, 0, 0), (2024, 1, 1, 24),
        ] {
            #expect { try Timestamp(year: year, month: month, day: day, hour: hour) } throws: {
                EventLogError.Code.invalidArgument ~= $0
            }
        }
        for year in [Int.min, -1, 1600, 2263, 99_999, Int.max] {
            #expect { try Timestamp(year: year, month: 1, day: 1) } throws: {
                EventLogError.Code.invalidArgument ~= $0
            }
        }
    }

    @Test("move by durations and stop at the ends of their range")
    func arithmetic() {
        let time = Timestamp(nanosecondsSinceEpoch: 5)
        #expect(time.advanced(by: .seconds(-1)).nanosecondsSinceEpoch == -999_999_995)
        #expect(time.duration(to: time.advanced(by: .milliseconds(3))) == .milliseconds(3))
        #expect(time.advanced(by: .seconds(Int64.max)).nanosecondsSinceEpoch == .max)
        #expect(time.advanced(by: .seconds(Int64.min + 1)).nanosecondsSinceEpoch == .min)
        #expect(
            Timestamp(nanosecondsSinceEpoch: .min).duration(to: .init(nanosecondsSinceEpoch: .max))
                == .nanoseconds(Int64.max) + .nanoseconds(Int64.max) + .nanoseconds(1))
    }

    @Test("give back the very date that they were made from, where a date is no finer than a nanosecond")
    func dates() throws {
        let seed = TestSeed.draw(for: "random times")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<10_000 {
            let distance = 20_000_000 + Double(random.below(7_000_000_000_000)) / 1024
            let interval = random.chance(permille: 500) ? distance : -distance
            let date = Date(timeIntervalSinceReferenceDate: interval)
            #expect(try #require(Timestamp(date)).date == date, "seed \(seed)")
        }
        #expect(Timestamp(Date.distantFuture) == nil)
        #expect(Timestamp(Date(timeIntervalSinceReferenceDate: .infinity)) == nil)
        #expect(Timestamp(Date(timeIntervalSinceReferenceDate: .nan)) == nil)
    }

    @Test("are RFC 3339 text in Codable")
    func codable() throws {
        let time = try Timestamp(rfc3339: "2026-01-05T08:00:00.123456789Z")
        let data = try JSONEncoder().encode([time])
        #expect(String(decoding: data, as: UTF8.self) == #"["2026-01-05T08:00:00.123456789Z"]"#)
        #expect(try JSONDecoder().decode([Timestamp].self, from: data) == [time])
        #expect(throws: (any Error).self) {
            try JSONDecoder().decode([Timestamp].self, from: Data("[1]".utf8))
        }
    }
}
