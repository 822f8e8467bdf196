/// Makes text from events safe to show on a terminal.
///
/// Names and payloads come from anywhere. A terminal obeys control characters (move the cursor, set the
/// title, paste), and characters of bidirectional text make it show something else than what is there.
/// Here such characters become visible escapes. Text without them comes back as it is.
public enum TerminalText {
    /// `text` with each dangerous character as `\n`, `\r`, `\t` or `\u{…}`.
    ///
    /// Dangerous are the control characters (C0, DEL, C1), the marks, embeddings, overrides and isolates of
    /// bidirectional text, the separators of lines and paragraphs, interlinear annotations, and tags.
    /// A backslash that was there stays as it is, so this is for people's eyes, not for reading back.
    public static func escape(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: Self.isDangerous) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            guard Self.isDangerous(scalar) else {
                result.unicodeScalars.append(scalar)
                continue
            }
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default: result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            }
        }
        return result
    }

    /// JSON text with each dangerous character inside it as JSON's own `\uXXXX`; equal JSON, safe to show.
    ///
    /// In JSON, such characters can stand within strings only, where the escape means the same. Line breaks
    /// and tabs are white space between values and stay.
    public static func escapeJSON(_ json: String) -> String {
        guard json.unicodeScalars.contains(where: Self.isDangerousInJSON) else { return json }
        var result = ""
        for scalar in json.unicodeScalars {
            guard Self.isDangerousInJSON(scalar) else {
                result.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result
    }

    /// Whether a terminal would obey the character rather than show it.
    public static func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F: true  // C0, DEL, C1
        case 0x061C, 0x200E, 0x200F: true  // Arabic letter mark, left-to-right and right-to-left marks
        case 0x2028, 0x2029: true  // separators of lines and paragraphs
        case 0x202A...0x202E, 0x2066...0x206F: true  // embeddings, overrides, isolates, deprecated formats
        case 0xFFF9...0xFFFB: true  // interlinear annotations
        case 0xE0000...0xE007F: true  // tags
        default: false
        }
    }

    private static func isDangerousInJSON(_ scalar: Unicode.Scalar) -> Bool {
        scalar != "\n" && scalar != "\r" && scalar != "\t" && Self.isDangerous(scalar)
    }
}
