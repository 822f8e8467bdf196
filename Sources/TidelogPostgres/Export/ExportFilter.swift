#if Postgres
    import Tidelog

    /// A filter of an export as the text that its checkpoint has: the same filter gives the same text.
    enum ExportFilter {
        /// The text of a filter; empty for one that leaves nothing out.
        static func text(of filter: EventQuery) -> String {
            var parts: [String] = []
            func add(_ name: String, _ value: String?) {
                if let value { parts.append("\(name)=\(value.debugDescription)") }
            }
            for stream in filter.streams.sorted() { add("stream", stream) }
            add("streamPrefix", filter.streamPrefix)
            add("fromRevision", filter.fromRevision.map { "\($0)" })
            add("toRevision", filter.toRevision.map { "\($0)" })
            for type in filter.types.map(\.description).sorted() { add("type", type) }
            add("since", filter.since.map { "\($0)" })
            add("until", filter.until.map { "\($0)" })
            add("correlation", filter.correlationID.map { "\($0)" })
            add("causation", filter.causationID.map { "\($0)" })
            add("source", filter.source)
            add("tenant", filter.tenantID)
            return parts.joined(separator: " ")
        }

        /// The filter that has this text; nil if it has none of this version's.
        static func query(of text: String) -> EventQuery? {
            var query = EventQuery.all
            var rest = text.unicodeScalars[...]
            while let end = rest.firstIndex(of: "=") {
                let name = String(rest[..<end])
                rest = rest[rest.index(after: end)...]
                guard let value = Self.quoted(&rest), Self.set(name, value, in: &query) else { return nil }
                if rest.first == " " { rest = rest.dropFirst() }
            }
            // What was read otherwise than it was written would count other rows.
            return Self.text(of: query) == text ? query : nil
        }

        /// Sets what a name stands for; false for one that stands for nothing, or a value that is none of it.
        private static func set(_ name: String, _ value: String, in query: inout EventQuery) -> Bool {
            switch name {
            case "stream": query.streams.append(value)
            case "streamPrefix": query.streamPrefix = value
            case "fromRevision": query.fromRevision = Revision(value)
            case "toRevision": query.toRevision = Revision(value)
            case "type":
                guard let pattern = try? TypePattern(value) else { return false }
                query.types.append(pattern)
            case "since": query.since = Timestamp(value)
            case "until": query.until = Timestamp(value)
            case "correlation": query.correlationID = EventID(value)
            case "causation": query.causationID = EventID(value)
            case "source": query.source = value
            case "tenant": query.tenantID = value
            default: return false
            }
            return true
        }

        /// Takes a text in quotation marks, as `debugDescription` writes it.
        private static func quoted(_ rest: inout Substring.UnicodeScalarView) -> String? {
            guard rest.popFirst() == "\"" else { return nil }
            var value = String.UnicodeScalarView()
            while let scalar = rest.popFirst() {
                if scalar == "\"" { return String(value) }
                if scalar != "\\" {
                    value.append(scalar)
                } else if let escaped = Self.escaped(&rest) {
                    value.append(escaped)
                } else {
                    return nil
                }
            }
            return nil
        }

        /// Takes what follows a backslash.
        private static func escaped(_ rest: inout Substring.UnicodeScalarView) -> Unicode.Scalar? {
            guard let scalar = rest.popFirst() else { return nil }
            switch scalar {
            case "\\", "\"", "'": return scalar
            case "n": return "\n"
            case "r": return "\r"
            case "t": return "\t"
            case "0": return "\0"
            case "u":
                guard rest.popFirst() == "{", let end = rest.firstIndex(of: "}") else { return nil }
                let digits = String(rest[..<end])
                rest = rest[rest.index(after: end)...]
                return UInt32(digits, radix: 16).flatMap { Unicode.Scalar($0) }
            default: return nil
            }
        }
    }
#endif
