/// A small scanner of Swift text. It knows comments (nested), strings (raw, multi-line, with interpolation) and
/// extended regular expressions; nothing else.
enum CodeText {
    /// The text with the bytes of comments and of string literals replaced by blanks. Line ends stay, and so does the
    /// code inside an interpolation.
    static func withoutCommentsAndStrings(_ text: String) -> String {
        var scanner = Scanner(bytes: Array(text.utf8))
        scanner.run()
        return String(decoding: scanner.output, as: UTF8.self)
    }
}

private struct Scanner {
    /// What the scanner is inside of. Interpolations make it a stack.
    private enum Place {
        /// Code; of an interpolation, with its open parentheses.
        case code(interpolation: Bool, parentheses: Int)
        case string(hashes: Int, multiline: Bool)
        case expression(hashes: Int)
        case lineComment
        case blockComment(depth: Int)
    }

    let bytes: [UInt8]
    private(set) var output: [UInt8] = []
    private var position = 0
    private var places: [Place] = [.code(interpolation: false, parentheses: 0)]

    init(bytes: [UInt8]) {
        self.bytes = bytes
        output.reserveCapacity(bytes.count)
    }

    mutating func run() {
        while position < bytes.count, let place = places.last {
            switch place {
            case .code(let interpolation, let parentheses): code(interpolation, parentheses)
            case .string(let hashes, let multiline): string(hashes, multiline)
            case .expression(let hashes): closing("/" + String(repeating: "#", count: hashes))
            case .lineComment: lineComment()
            case .blockComment(let depth): blockComment(depth)
            }
        }
    }

    private mutating func code(_ interpolation: Bool, _ parentheses: Int) {
        if starts("//") { return enter(.lineComment, blank: 2) }
        if starts("/*") { return enter(.blockComment(depth: 1), blank: 2) }
        let hashes = bytes[position...].prefix { $0 == UInt8(ascii: "#") }.count
        let sign = position + hashes
        if sign < bytes.count, bytes[sign] == UInt8(ascii: "\"") {
            let multiline = starts("\"\"\"", at: sign)
            return enter(.string(hashes: hashes, multiline: multiline), blank: hashes + (multiline ? 3 : 1))
        }
        if hashes > 0, sign < bytes.count, bytes[sign] == UInt8(ascii: "/") {
            return enter(.expression(hashes: hashes), blank: hashes + 1)
        }
        if interpolation {
            let change = bytes[position] == UInt8(ascii: "(") ? 1 : bytes[position] == UInt8(ascii: ")") ? -1 : 0
            places[places.count - 1] = .code(interpolation: true, parentheses: parentheses + change)
            if parentheses + change == 0 { places.removeLast() }
        }
        keep(max(hashes, 1))
    }

    private mutating func string(_ hashes: Int, _ multiline: Bool) {
        let marks = String(repeating: "#", count: hashes)
        if starts("\\" + marks + "(") {
            blank(1 + hashes)
            keep(1)
            places.append(.code(interpolation: true, parentheses: 1))
        } else if starts("\\" + marks) {
            blank(2 + hashes)
        } else {
            // A line end closes a plain string too: such text does not compile, and the rest of the file is still seen.
            let broken = !multiline && bytes[position] == UInt8(ascii: "\n")
            if broken { places.removeLast() } else { closing((multiline ? "\"\"\"" : "\"") + marks) }
        }
    }

    private mutating func closing(_ mark: String) {
        guard starts(mark) else { return blank(1) }
        places.removeLast()
        blank(mark.utf8.count)
    }

    private mutating func lineComment() {
        if bytes[position] == UInt8(ascii: "\n") { places.removeLast() } else { blank(1) }
    }

    private mutating func blockComment(_ depth: Int) {
        if starts("/*") {
            places[places.count - 1] = .blockComment(depth: depth + 1)
            blank(2)
        } else if starts("*/") {
            if depth == 1 { places.removeLast() } else { places[places.count - 1] = .blockComment(depth: depth - 1) }
            blank(2)
        } else {
            blank(1)
        }
    }

    private mutating func enter(_ place: Place, blank count: Int) {
        places.append(place)
        blank(count)
    }

    private func starts(_ mark: String, at start: Int? = nil) -> Bool {
        let start = start ?? position
        return start + mark.utf8.count <= bytes.count && bytes[start...].starts(with: mark.utf8)
    }

    private mutating func keep(_ count: Int) {
        output += bytes[position..<min(position + count, bytes.count)]
        position += count
    }

    private mutating func blank(_ count: Int) {
        for byte in bytes[position..<min(position + count, bytes.count)] {
            output.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " "))
        }
        position += count
    }
}
