import Tidelog

/// Rows in aligned columns, for people.
struct Table {
    /// A column: its title, and on which side its cells stand.
    struct Column {
        let title: String
        let isNumber: Bool

        static func text(_ title: String) -> Self { .init(title: title, isNumber: false) }
        static func number(_ title: String) -> Self { .init(title: title, isNumber: true) }
    }

    private let columns: [Column]
    private var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// Adds a row. Texts that come from events are made safe for a terminal here.
    mutating func add(_ cells: [String]) { self.rows.append(cells.map { TerminalText.escape($0) }) }

    /// The title and the rows. `widths` are the least widths; they grow to what was needed, so that several
    /// pages line up.
    func lines(withTitle: Bool = true, widths: inout [Int]) -> [String] {
        let title = self.columns.map(\.title)
        let all = withTitle ? [title] + self.rows : self.rows
        if widths.isEmpty { widths = title.map(\.count) }
        for row in all {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                if column > 0 { line += "  " }
                let space = String(repeating: " ", count: widths[column] - cell.count)
                line += self.columns[column].isNumber ? space + cell : cell + space
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    /// The title and the rows.
    var lines: [String] {
        var widths: [Int] = []
        return self.lines(widths: &widths)
    }
}

/// Names and values in two aligned columns, for people.
struct Facts {
    private var rows: [(name: String, value: String)] = []

    mutating func add(_ name: String, _ value: String) {
        self.rows.append((name, TerminalText.escape(value)))
    }

    var lines: [String] {
        let width = self.rows.map(\.name.count).max() ?? 0
        return self.rows.map { row in
            row.name + String(repeating: " ", count: width - row.name.count + 2) + row.value
        }
    }
}
