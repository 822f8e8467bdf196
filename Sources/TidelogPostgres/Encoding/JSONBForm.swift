#if Postgres
    import Tidelog

    /// What PostgreSQL's `jsonb` makes of a JSON text.
    ///
    /// `jsonb` keeps values, not text: it drops white space, sorts keys by length and then by bytes, keeps the
    /// last of equal keys, and writes numbers without exponents. So a text goes to a column of `jsonb` for
    /// queries and, wherever `jsonb` would not give exactly its bytes back, to a column of `bytea` as well.
    enum JSONBForm {
        /// `jsonb` cannot hold it: it is no JSON, or has a `\u0000`, or a number beyond its bounds.
        case none
        /// `jsonb` holds the value but would give back another text.
        case value
        /// `jsonb` gives back this text, with a space after each comma and colon between values.
        case exact

        /// Digits of a number, and the size of its exponent, up to which it goes to `jsonb`. PostgreSQL takes
        /// some more; but it writes exponents out, and a number of 100,000 digits helps nobody.
        static let maximumDigits = 1000

        /// Says what `jsonb` makes of the text.
        init(_ text: UnsafeRawBufferPointer) {
            var walk = Walk(scanner: JSONScanner(text))
            do throws(JSONFault) {
                try walk.document()
            } catch {
                self = .none
                return
            }
            self = walk.isStorable ? (walk.isExact ? .exact : .value) : .none
        }

        private struct Walk {
            var scanner: JSONScanner
            var isStorable = true
            var isExact = true

            mutating func document() throws(JSONFault) {
                try self.scanner.refuseByteOrderMark()
                self.scanner.skipSpace()
                try self.value(depth: 0)
                try self.scanner.requireEnd()
                if !self.scanner.isCompact { self.isExact = false }
            }

            private mutating func value(depth: Int) throws(JSONFault) {
                switch self.scanner.peek {
                case UInt8(ascii: "\""): self.string(try self.scanner.scanString())
                case UInt8(ascii: "{"): try self.object(depth: depth + 1)
                case UInt8(ascii: "["):
                    try self.scanner.startContainer(depth: depth + 1)
                    if self.scanner.take(UInt8(ascii: "]")) { return }
                    repeat { try self.value(depth: depth + 1) } while try self.scanner.continueArray()
                case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
                    let start = self.scanner.index
                    try self.scanner.skipValue(depth: depth)
                    self.number(self.scanner.bytes(start..<self.scanner.index))
                default: try self.scanner.skipValue(depth: depth)
                }
            }

            private mutating func object(depth: Int) throws(JSONFault) {
                try self.scanner.startContainer(depth: depth)
                if self.scanner.take(UInt8(ascii: "}")) { return }
                var last: JSONText?
                repeat {
                    let key = try self.scanner.scanKey()
                    self.string(key)
                    if let last, !self.comes(last, before: key) { self.isExact = false }
                    last = key
                    try self.value(depth: depth)
                } while try self.scanner.continueObject()
            }

            /// Whether `jsonb` puts one key before another: the shorter first, then by bytes.
            private func comes(_ first: JSONText, before second: JSONText) -> Bool {
                let left = self.scanner.bytes(first.start..<first.end)
                let right = self.scanner.bytes(second.start..<second.end)
                if left.count != right.count { return left.count < right.count }
                return left.lexicographicallyPrecedes(right)
            }

            /// A string with an escape is not exact (the scanner sees to that); one with `\u0000` is refused.
            private mutating func string(_ text: JSONText) {
                guard text.hasEscapes else { return }
                self.isExact = false
                let bytes = self.scanner.bytes(text.start..<text.end)
                var at = 0
                while at < bytes.count {
                    guard bytes[at] == UInt8(ascii: "\\") else {
                        at += 1
                        continue
                    }
                    if bytes[at + 1] == UInt8(ascii: "u"),
                        bytes[(at + 2)..<(at + 6)].allSatisfy({ $0 == 0x30 })
                    {
                        self.isStorable = false
                    }
                    at += 2
                }
            }

            private mutating func number(_ text: UnsafeRawBufferPointer) {
                var digits = 0
                var at = 0
                while at < text.count, text[at] | 0x20 != UInt8(ascii: "e") {
                    if text[at] &- 0x30 < 10 { digits += 1 }
                    at += 1
                }
                if digits > JSONBForm.maximumDigits { self.isStorable = false }
                if at < text.count {
                    self.isExact = false
                    let exponent = Int(String(decoding: text[(at + 1)...], as: UTF8.self)) ?? .max
                    if exponent.magnitude > UInt(JSONBForm.maximumDigits) { self.isStorable = false }
                } else if text.first == UInt8(ascii: "-"),
                    text.dropFirst().allSatisfy({ $0 == 0x30 || $0 == UInt8(ascii: ".") })
                {
                    self.isExact = false  // PostgreSQL knows no negative zero
                }
            }
        }

        /// The text as PostgreSQL writes it: a space after each comma and colon that is not in a string.
        static func spread(_ exact: UnsafeRawBufferPointer, into text: inout [UInt8]) {
            var isInString = false
            for byte in exact {
                text.append(byte)
                if byte == UInt8(ascii: "\"") {
                    isInString.toggle()  // exact texts have no escapes
                } else if !isInString, byte == UInt8(ascii: ",") || byte == UInt8(ascii: ":") {
                    text.append(0x20)
                }
            }
        }

        /// The text without the spaces that PostgreSQL writes: what ``spread(_:into:)`` was given.
        ///
        /// - Parameter exact: uninitialized memory, at least as much as the text.
        /// - Returns: how many bytes were written there.
        static func gather(
            _ text: UnsafeRawBufferPointer, into exact: UnsafeMutableBufferPointer<UInt8>
        ) -> Int {
            precondition(exact.count >= text.count)
            guard let start = exact.baseAddress else { return 0 }
            var count = 0
            var isInString = false
            for byte in text {
                if byte == UInt8(ascii: "\"") { isInString.toggle() }
                (start + count).initialize(to: byte)
                if byte != 0x20 || isInString { count += 1 }
            }
            return count
        }
    }
#endif
