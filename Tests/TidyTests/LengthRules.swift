/// How long files and functions may be at most. The aim is less than half of it.
enum LengthRules {
    static let fileLinesMax = 600
    static let functionLinesMax = 70

    static func violations(in file: SourceFile) -> [Violation] {
        var found = functions(in: file).filter { $0.lines > functionLinesMax }.map {
            Violation(file.path, $0.line, "a function of \($0.lines) lines; \(functionLinesMax) at most")
        }
        let lines = file.lines.last?.isEmpty == true ? file.lines.count - 1 : file.lines.count
        if lines > fileLinesMax {
            found.append(Violation(file.path, lines, "a file of \(lines) lines; \(fileLinesMax) at most"))
        }
        return found
    }

    /// Every function and initialiser with a body: its first line, and its lines up to the closing brace. A body's
    /// header is what stands between the brace or the end of body before it and its own brace; braces within
    /// parentheses are closures that are arguments and belong to the header or statement around them.
    static func functions(in file: SourceFile) -> [(line: Int, lines: Int)] {
        var found: [(line: Int, lines: Int)] = []
        var open: [Int?] = []
        var header = Header()
        var parentheses = 0
        for (index, line) in file.codeLines.enumerated() {
            for byte in line.utf8 {
                switch byte {
                case UInt8(ascii: "("): parentheses += 1
                case UInt8(ascii: ")"): parentheses -= 1
                default: break
                }
                if parentheses > 0 || (byte != UInt8(ascii: "{") && byte != UInt8(ascii: "}")) {
                    header.add(byte, line: index + 1)
                    continue
                }
                if byte == UInt8(ascii: "{") {
                    open.append(header.functionLine)
                } else if let start = open.popLast() ?? nil {
                    found.append((start, index + 1 - start + 1))
                }
                header = Header()
            }
            header.add(UInt8(ascii: " "), line: index + 1)
        }
        return found
    }
}

/// The words before a brace, of which only those that declare a function matter.
private struct Header {
    private static let declaring: Set<String> = ["func", "deinit", "subscript"]
    private static let modifiers: Set<String> = [
        "package", "private", "internal", "fileprivate", "convenience", "required", "override", "nonisolated",
        "consuming", "mutating", "static", "final", "borrowing",
    ]

    private var word: [UInt8] = []
    private var onlyModifiers = true
    /// The line of the word that declares a function; nil if none was met.
    private(set) var functionLine: Int?

    mutating func add(_ byte: UInt8, line: Int) {
        let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte >= 0x80
        let isOther =
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: "@") || byte == UInt8(ascii: ".")
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        if isLetter || isOther {
            word.append(byte)
            return
        }
        if word.isEmpty { return }
        let text = String(decoding: word, as: UTF8.self)
        word = []
        if functionLine == nil, Self.declaring.contains(text) || (text == "init" && onlyModifiers) {
            functionLine = line
        }
        if !Self.modifiers.contains(text), !text.hasPrefix("@") { onlyModifiers = false }
    }
}
