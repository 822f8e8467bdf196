/// Numbers as people read them.
enum Units {
    /// `1,234,567`.
    static func count(_ value: some BinaryInteger) -> String {
        let digits = String(value.magnitude)
        var result = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return result
    }

    /// `12.3 MB`, in powers of 1,000.
    static func bytes(_ value: Int) -> String {
        guard value.magnitude >= 1000 else { return "\(value) B" }
        var scaled = Double(value) / 1000
        var unit = 0
        let names = ["kB", "MB", "GB", "TB", "PB", "EB"]
        while scaled.magnitude >= 999.95, unit < names.count - 1 {
            scaled /= 1000
            unit += 1
        }
        return "\(Self.decimal(scaled, 1)) \(names[unit])"
    }

    /// With so many decimals.
    static func decimal(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return "\(value)" }
        var scale = 1
        for _ in 0..<decimals { scale *= 10 }
        let rounded = Int((value.magnitude * Double(scale)).rounded())
        var text = (value < 0 && rounded > 0 ? "-" : "") + String(rounded / scale)
        if decimals > 0 {
            let rest = String(rounded % scale)
            text += "." + String(repeating: "0", count: decimals - rest.count) + rest
        }
        return text
    }

    /// `850 µs`, `12.3 ms`, `4.56 s`, `3 min 20 s`, `2 h 5 min`.
    static func duration(_ seconds: Double) -> String {
        switch seconds {
        case ..<0.001: return Self.decimal(seconds * 1e6, seconds < 0.0001 ? 1 : 0) + " µs"
        case ..<1: return Self.decimal(seconds * 1e3, 1) + " ms"
        case ..<120: return Self.decimal(seconds, 2) + " s"
        case ..<7200: return "\(Int(seconds) / 60) min \(Int(seconds) % 60) s"
        default: return "\(Int(seconds) / 3600) h \(Int(seconds) % 3600 / 60) min"
        }
    }

    /// `812,000 events/s`, three digits that count.
    static func rate(_ events: Int, _ seconds: Double) -> String {
        guard seconds > 0 else { return "" }
        let value = Double(events) / seconds
        var step = 1.0
        while value / step >= 1000 { step *= 10 }
        let rounded = (value / step).rounded() * step
        return value < 10 ? Self.decimal(value, 1) + " events/s" : Self.count(Int(rounded)) + " events/s"
    }

    /// `1 event`, `2 events`.
    static func events(_ count: Int) -> String { "\(Self.count(count)) \(count == 1 ? "event" : "events")" }
}

extension Duration {
    /// In seconds.
    var inSeconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

/// Seconds since it was made.
struct Stopwatch {
    private let start = ContinuousClock.now
    var seconds: Double { (ContinuousClock.now - self.start).inSeconds }
}
