/// Words that are banned, in part or everywhere.
enum CallRules {
    /// Below level 3 the world comes in as parameters.
    static let impure: [(text: String, problem: String)] = [
        ("Date()", "reads the clock"), (".now", "reads the clock"), ("clock_gettime", "reads the clock"),
        ("gettimeofday", "reads the clock"), ("SystemRandomNumberGenerator", "reads the system's randomness"),
        ("getrandom", "reads the system's randomness"), ("arc4random", "reads the system's randomness"),
        ("UUID()", "reads the system's randomness"), ("SymmetricKey(size:", "reads the system's randomness"),
        ("Task {", "starts a task"), ("Task.detached", "starts a task"), ("Task.sleep", "sleeps"),
        ("getenv", "reads the environment"), ("ProcessInfo", "reads the environment"),
    ]

    static func violations(in file: SourceFile) -> [Violation] {
        var found = everywhere(file)
        if let target = file.target, ImportRules.pure.contains(target) { found += impurities(file) }
        return found
    }

    private static func impurities(_ file: SourceFile) -> [Violation] {
        impure.flatMap { rule in
            file.linesWithCode(rule.text).map { Violation(file.path, $0, "'\(rule.text)' \(rule.problem)") }
        } + randomness(file)
    }

    /// `.random(in: …)` and `.shuffled()` without a generator of the caller's.
    private static func randomness(_ file: SourceFile) -> [Violation] {
        [".random(", ".randomElement(", ".shuffle()", ".shuffled("].flatMap { call in
            file.linesWithCode(call).filter { !file.codeLines[$0 - 1].contains("using:") }.map {
                Violation(file.path, $0, "'\(call)' without a generator given with 'using:'")
            }
        }
    }

    private static func everywhere(_ file: SourceFile) -> [Violation] {
        var found: [Violation] = []
        if file.target != "facectl" {
            found += file.linesWithWord("print").filter { file.codeLines[$0 - 1].contains("print(") }
                .map { Violation(file.path, $0, "print; log, or return the text") }
        }
        found += file.linesWithWord("DispatchSemaphore").filter { _ in file.target == nil }
            .map { Violation(file.path, $0, "a semaphore in a test") }
        return found + unwraps(file) + unchecked(file)
    }

    /// `x!`, `try!`, `as!` and types with `!`; `!=` and the prefix `!` are operators.
    private static func unwraps(_ file: SourceFile) -> [Violation] {
        file.linesWithCode("!").filter { hasUnwrap(Array(file.codeLines[$0 - 1].utf8)) }
            .map { Violation(file.path, $0, "'!' that traps (try!, as! or an unwrap)") }
    }

    private static func hasUnwrap(_ line: [UInt8]) -> Bool {
        line.indices.dropFirst().contains { index in
            guard line[index] == UInt8(ascii: "!") else { return false }
            let next = index + 1 < line.count ? line[index + 1] : UInt8(ascii: " ")
            let before = line[index - 1]
            let closes = before == UInt8(ascii: ")") || before == UInt8(ascii: "]") || before == UInt8(ascii: "\"")
            return next != UInt8(ascii: "=") && (closes || SourceFile.isWordByte(before))
        }
    }

    private static func unchecked(_ file: SourceFile) -> [Violation] {
        file.linesWithCode("@unchecked Sendable").filter { line in
            let above = file.lines[..<(line - 1)].reversed().prefix { $0.trimmed.hasPrefix("//") }
            return !above.contains { $0.trimmed.hasPrefix("// Safe because") }
        }.map { Violation(file.path, $0, "@unchecked Sendable without '// Safe because' just above") }
    }
}

/// Access: everything of the project's own API is `package`.
enum AccessRules {
    static let levels: Set<Substring> = ["package", "private", "internal", "fileprivate", "public", "open"]
    static let banned = ["public", "@_spi", "@inlinable", "@usableFromInline", "@_exported", "@frozen"]

    static func violations(in file: SourceFile) -> [Violation] {
        banned.flatMap { word in
            file.linesWithWord(word).map { Violation(file.path, $0, "'\(word)' is not used here") }
        }
    }
}

extension SourceFile {
    /// Numbers of the lines whose code has this text.
    func linesWithCode(_ text: String) -> [Int] {
        guard code.contains(text) else { return [] }
        return codeLines.indices.filter { codeLines[$0].contains(text) }.map { $0 + 1 }
    }

    /// The same for a whole word: no letter, digit or `.` beside it.
    func linesWithWord(_ word: String) -> [Int] {
        linesWithCode(word).filter { line in
            codeLines[line - 1].ranges(of: word).contains { range in
                let text = codeLines[line - 1]
                let before = text[..<range.lowerBound].utf8.last
                let after = text[range.upperBound...].utf8.first
                let joined = { (byte: UInt8?) in byte.map { Self.isWordByte($0) } ?? false }
                return !joined(before) && !joined(after) && before != UInt8(ascii: ".")
            }
        }
    }

    static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...: true
        default: false
        }
    }
}

extension Substring {
    /// Without the blanks around it.
    var trimmed: Substring {
        var text = self
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
