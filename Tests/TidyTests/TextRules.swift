/// Rules for every tracked text, comments and documents included. The words are put together from parts, so that this
/// file passes its own rules.
enum TextRules {
    static let markers = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
    static let machinePaths = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/"]
    static let registries = ["debian.", "pypi.", "pythonhosted."].map { (scheme: "://", host: $0) }

    static func violations(path: String, text: String) -> [Violation] {
        var found: [Violation] = []
        let suspects = markers + machinePaths + registries.map(\.host)
        guard suspects.contains(where: { text.contains($0) }) else { return [] }
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            found += problems(in: line).map { Violation(path, index + 1, $0) }
        }
        return found
    }

    private static func problems(in line: Substring) -> [String] {
        var found = markers.filter { containsWord($0, in: line) }.map { "leftover marker \($0)" }
        found += machinePaths.filter { line.contains($0) }.map { "a machine's path: \($0)" }
        found += registries.filter { namesHost($0.host, in: line) }.map { "a registry's host name: \($0.host)" }
        return found
    }

    /// An address whose host has this part: `https://deb.` followed by it, for example.
    private static func namesHost(_ part: String, in line: Substring) -> Bool {
        line.ranges(of: "://").contains { range in
            line[range.upperBound...].prefix { $0 != "/" && !$0.isWhitespace }.appending("/").contains(part)
        }
    }

    private static func containsWord(_ word: String, in line: Substring) -> Bool {
        line.ranges(of: word).contains { range in
            let before = line[..<range.lowerBound].utf8.last.map(SourceFile.isWordByte) ?? false
            let after = line[range.upperBound...].utf8.first.map(SourceFile.isWordByte) ?? false
            return !before && !after
        }
    }
}

extension StringProtocol {
    fileprivate func appending(_ text: String) -> String { String(self) + text }
}
