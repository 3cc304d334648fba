import Foundation

/// One object of a manifest. Every key must be asked for, so that a misspelt one is named.
struct ManifestSection {
    private var values: [String: Any]
    private let path: String
    private let prefix: String

    init(json: Data, path: String) throws(FaceExtractionError) {
        let root: Any
        do {
            root = try JSONSerialization.jsonObject(with: json)
        } catch {
            throw .manifest(path: path, key: "", problem: "is not JSON")
        }
        try self.init(root, path: path, prefix: "")
    }

    private init(_ value: Any, path: String, prefix: String) throws(FaceExtractionError) {
        guard let values = value as? [String: Any] else {
            throw .manifest(path: path, key: prefix, problem: "must be an object")
        }
        self.values = values
        self.path = path
        self.prefix = prefix
    }

    mutating func section(_ key: String) throws(FaceExtractionError) -> ManifestSection {
        try ManifestSection(required(key), path: path, prefix: full(key))
    }

    mutating func optionalSection(_ key: String) throws(FaceExtractionError) -> ManifestSection? {
        guard let value = values.removeValue(forKey: key) else { return nil }
        return try ManifestSection(value, path: path, prefix: full(key))
    }

    mutating func sections(_ key: String) throws(FaceExtractionError) -> [ManifestSection] {
        guard let list = try required(key) as? [Any] else { throw error(key, "must be a list of objects") }
        var sections: [ManifestSection] = []
        for (index, value) in list.enumerated() {
            sections.append(try ManifestSection(value, path: path, prefix: full("\(key)[\(index)]")))
        }
        return sections
    }

    mutating func check(_ key: String, is expected: Int) throws(FaceExtractionError) {
        guard Self.double(try required(key)) == Double(expected) else { throw error(key, "must be \(expected)") }
    }

    mutating func text(
        _ key: String, matching rule: String = "a text that is not empty", _ accepts: (String) -> Bool = { _ in true }
    ) throws(FaceExtractionError) -> String {
        guard let text = try required(key) as? String, !text.isEmpty, accepts(text) else {
            throw error(key, "must be \(rule)")
        }
        return text
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(FaceExtractionError) -> Int {
        let number = Self.double(try required(key)).flatMap { Int(exactly: $0) }
        guard let number, range.contains(number) else {
            throw error(key, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    mutating func number(_ key: String, in range: ClosedRange<Double>) throws(FaceExtractionError) -> Double {
        guard let number = Self.double(try required(key)), range.contains(number) else {
            throw error(key, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    mutating func flag(_ key: String) throws(FaceExtractionError) -> Bool {
        guard let flag = try required(key) as? NSNumber, Self.isBoolean(flag) else {
            throw error(key, "must be true or false")
        }
        return flag.boolValue
    }

    mutating func numbers(
        _ key: String, count: Int, in range: ClosedRange<Double>
    ) throws(FaceExtractionError) -> [Double] {
        try numbers(try required(key), key, count: count, in: range)
    }

    /// One row of a list of `rows` lists; `take` the key when all are read.
    func numbers(
        _ key: String, row: Int, of rows: Int, count: Int, in range: ClosedRange<Double>
    ) throws(FaceExtractionError) -> [Double] {
        guard let list = values[key] as? [Any], list.count == rows else { throw error(key, "must have \(rows) rows") }
        return try numbers(list[row], "\(key)[\(row)]", count: count, in: range)
    }

    mutating func take(_ key: String) {
        values.removeValue(forKey: key)
    }

    func finish() throws(FaceExtractionError) {
        guard let unknown = values.keys.sorted().first else { return }
        throw error(unknown, "is not known to format 1")
    }

    func error(_ key: String, _ problem: String) -> FaceExtractionError {
        .manifest(path: path, key: full(key), problem: problem)
    }

    private mutating func required(_ key: String) throws(FaceExtractionError) -> Any {
        guard let value = values.removeValue(forKey: key) else { throw error(key, "is missing") }
        return value
    }

    private func numbers(
        _ value: Any, _ key: String, count: Int, in range: ClosedRange<Double>
    ) throws(FaceExtractionError) -> [Double] {
        let numbers = (value as? [Any])?.compactMap(Self.double) ?? []
        guard numbers.count == count, (value as? [Any])?.count == count, numbers.allSatisfy(range.contains) else {
            throw error(key, "must be \(count) numbers from \(range.lowerBound) to \(range.upperBound)")
        }
        return numbers
    }

    private static func double(_ value: Any) -> Double? {
        guard let number = value as? NSNumber, !isBoolean(number) else { return nil }
        return number.doubleValue
    }

    /// JSONSerialization answers true and false as numbers of C's type `char`, and 0 and 1 as wider ones.
    private static func isBoolean(_ number: NSNumber) -> Bool { number.objCType.pointee == CChar(UInt8(ascii: "c")) }

    private func full(_ key: String) -> String { prefix.isEmpty ? key : "\(prefix).\(key)" }
}
