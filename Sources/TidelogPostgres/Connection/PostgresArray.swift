#if Postgres
    /// An array of one dimension as a parameter, in binary form (array_recv of PostgreSQL's source).
    struct PostgresArray {
        /// The types of elements, by their numbers in PostgreSQL's catalogue, each with that of its array.
        enum Element {
            case bigint, integer, smallint, text, bytes, jsonb, timestamp

            var numbers: (element: UInt32, array: UInt32) {
                switch self {
                case .bigint: (20, 1016)
                case .integer: (23, 1007)
                case .smallint: (21, 1005)
                case .text: (25, 1009)
                case .bytes: (17, 1001)
                case .jsonb: (3802, 3807)
                case .timestamp: (1184, 1185)
                }
            }
        }

        private let element: Element
        private var elements: [UInt8] = []
        private(set) var count = 0
        private var hasNulls = false

        init(_ element: Element, reserving bytes: Int = 0) {
            self.element = element
            self.elements.reserveCapacity(bytes)
        }

        var arrayType: UInt32 { self.element.numbers.array }

        /// How many bytes it has.
        var byteCount: Int { self.elements.count + 20 }

        mutating func appendNull() {
            self.hasNulls = true
            self.count += 1
            self.elements.append(bigEndian: Int32(-1))
        }

        mutating func append<Number: FixedWidthInteger>(number: Number?) {
            guard let number else { return self.appendNull() }
            self.count += 1
            self.elements.append(bigEndian: Int32(MemoryLayout<Number>.size))
            self.elements.append(bigEndian: number)
        }

        mutating func append(text: String?) {
            guard let text else { return self.appendNull() }
            self.count += 1
            self.elements.append(bigEndian: Int32(text.utf8.count))
            self.elements.append(contentsOf: text.utf8)
        }

        mutating func append(bytes: ArraySlice<UInt8>) {
            self.count += 1
            self.elements.append(bigEndian: Int32(bytes.count))
            self.elements.append(contentsOf: bytes)
        }

        /// A JSON text in the binary form of `jsonb`: a version, and the text.
        mutating func append(jsonb text: ArraySlice<UInt8>) {
            self.count += 1
            self.elements.append(bigEndian: Int32(text.count + 1))
            self.elements.append(1)
            self.elements.append(contentsOf: text)
        }

        /// Writes the binary form.
        func write(to bytes: inout [UInt8]) {
            bytes.append(bigEndian: Int32(self.count == 0 ? 0 : 1))
            bytes.append(bigEndian: Int32(self.hasNulls ? 1 : 0))
            bytes.append(bigEndian: self.element.numbers.element)
            if self.count > 0 {
                bytes.append(bigEndian: Int32(self.count))
                bytes.append(bigEndian: Int32(1))
            }
            bytes.append(contentsOf: self.elements)
        }
    }
#endif
