/// Returns `source` with comments and the insides of literals replaced by spaces; lines and columns stay.
///
/// So that a rule about code does not trip over a text that merely mentions what it forbids. It knows line
/// comments, nested block comments, strings of one line and of several with any number of `#`, interpolation
/// to any depth (code inside an interpolation stays code), and regular expressions between `#/` and `/#`. It
/// does not know those between plain slashes: do not write one that holds a quotation mark.
func blanked(_ source: String) -> String {
    var blanker = Blanker(Array(source.unicodeScalars))
    blanker.run()
    var result = String.UnicodeScalarView()
    result.append(contentsOf: blanker.output)
    return String(result)
}

private struct Blanker {
    private enum Context {
        /// Code; `parentheses` counts the open ones inside an interpolation, which the last one ends.
        case code(parentheses: Int)
        /// The inside of a string that ends with `quotes` quotation marks and `hashes` number signs.
        case string(quotes: Int, hashes: Int)
    }

    private let input: [Unicode.Scalar]
    private var position = 0
    private var contexts: [Context] = [.code(parentheses: 0)]
    private(set) var output: [Unicode.Scalar] = []

    init(_ input: [Unicode.Scalar]) {
        self.input = input
        self.output.reserveCapacity(input.count)
    }

    mutating func run() {
        while position < input.count {
            switch contexts[contexts.count - 1] {
            case .code(let parentheses): stepInCode(parentheses)
            case .string(let quotes, let hashes): stepInString(quotes, hashes)
            }
        }
    }

    private mutating func stepInCode(_ parentheses: Int) {
        if !isSpecial("/#\"()") {
            keep()
        } else if at("//") {
            while position < input.count, input[position] != "\n" { blank() }
        } else if at("/*") {
            skipBlockComment()
        } else if at("#/") {
            for _ in 0..<2 { keep() }
            while position < input.count, !at("/#") { blank() }
            for _ in 0..<2 where position < input.count { keep() }
        } else if let (quotes, hashes) = openingQuotes() {
            for _ in 0..<(quotes + hashes) { keep() }
            contexts.append(.string(quotes: quotes, hashes: hashes))
        } else {
            let isInterpolation = contexts.count > 1
            if isInterpolation, input[position] == "(" {
                contexts[contexts.count - 1] = .code(parentheses: parentheses + 1)
            } else if isInterpolation, input[position] == ")" {
                contexts[contexts.count - 1] = .code(parentheses: parentheses - 1)
                if parentheses == 1 { contexts.removeLast() }
            }
            keep()
        }
    }

    private mutating func stepInString(_ quotes: Int, _ hashes: Int) {
        if !isSpecial("\"\\\n") { return blank() }
        let number = String(repeating: "#", count: hashes)
        if at(String(repeating: "\"", count: quotes) + number) {
            for _ in 0..<(quotes + hashes) { keep() }
            contexts.removeLast()
        } else if at("\\" + number + "(") {
            for _ in 0..<(1 + hashes) { blank() }
            keep()
            contexts.append(.code(parentheses: 1))
        } else if at("\\" + number) {
            for _ in 0..<(2 + hashes) where position < input.count { blank() }
        } else if quotes == 1, input[position] == "\n" {
            contexts.removeLast()  // not Swift; do not let one stray quotation mark hide the rest
        } else {
            blank()
        }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if at("/*") {
                depth += 1
                blank()
            } else if at("*/") {
                depth -= 1
                blank()
            }
            blank()
        } while depth > 0 && position < input.count
    }

    /// The quotation marks and number signs that open a string here, if one opens here.
    private func openingQuotes() -> (quotes: Int, hashes: Int)? {
        var next = position
        while next < input.count, input[next] == "#" { next += 1 }
        guard next < input.count, input[next] == "\"" else { return nil }
        let isLong = next + 2 < input.count && input[next + 1] == "\"" && input[next + 2] == "\""
        return (isLong ? 3 : 1, next - position)
    }

    /// Whether one of the characters that can change the context stands here; most do not.
    private func isSpecial(_ characters: StaticString) -> Bool {
        let value = input[position].value
        return value < 0x80
            && UnsafeBufferPointer(start: characters.utf8Start, count: characters.utf8CodeUnitCount)
                .contains(UInt8(value))
    }

    private func at(_ text: String) -> Bool {
        input[position...].starts(with: text.unicodeScalars)
    }

    private mutating func keep() {
        output.append(input[position])
        position += 1
    }

    private mutating func blank() {
        guard position < input.count else { return }
        output.append(input[position] == "\n" ? "\n" : " ")
        position += 1
    }
}
