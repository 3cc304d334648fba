import ClusterModel
import Foundation
import Yams

/// A configuration file that cannot be used: which file, which key, what is allowed.
package struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    package var file: String
    package var key: String
    package var problem: String
    package var description: String { "\(file): \(key.isEmpty ? "" : "key '\(key)': ")\(problem)" }
}

/// One mapping of the file; every key must be asked for, so that a misspelt one is named.
struct ConfigurationSection {
    private(set) var values: [String: Any]
    let file: String
    let path: String

    init(_ node: Any?, file: String, path: String) throws(ConfigurationError) {
        self.file = file
        self.path = path
        if node == nil || node is NSNull {
            values = [:]
        } else if let mapping = node as? [String: Any] {
            values = mapping
        } else {
            throw ConfigurationError(file: file, key: path, problem: "must be a mapping of keys to values")
        }
    }

    init(yaml text: String, file: String) throws(ConfigurationError) {
        let root: Any?
        do {
            root = try Yams.load(yaml: text)
        } catch {
            throw ConfigurationError(file: file, key: "", problem: "is not YAML: \(error)")
        }
        try self.init(root, file: file, path: "")
    }

    static func contents(of file: String) throws(ConfigurationError) -> String {
        do {
            return try String(contentsOfFile: file, encoding: .utf8)
        } catch {
            throw ConfigurationError(file: file, key: "", problem: "cannot be read; is the path right?")
        }
    }

    /// Keys that nobody asked for yet, sorted.
    var names: [String] { values.keys.sorted() }

    mutating func section(_ key: String) throws(ConfigurationError) -> ConfigurationSection {
        try ConfigurationSection(values.removeValue(forKey: key), file: file, path: full(key))
    }

    mutating func text(_ key: String) throws(ConfigurationError) -> String? {
        guard let value = values.removeValue(forKey: key) else { return nil }
        guard let text = value as? String, !text.isEmpty else { throw error(key, "must be a text that is not empty") }
        return text
    }

    mutating func text(_ key: String, oneOf allowed: [String]) throws(ConfigurationError) -> String? {
        guard let text = try text(key) else { return nil }
        guard allowed.contains(text) else {
            throw error(key, "is '\(text)'; allowed are \(allowed.joined(separator: ", "))")
        }
        return text
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let value = values.removeValue(forKey: key) else { return nil }
        guard let number = value as? Int, range.contains(number) else {
            throw error(key, "is '\(value)'; allowed is a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    mutating func flag(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let value = values.removeValue(forKey: key) else { return nil }
        guard let flag = value as? Bool else { throw error(key, "must be true or false") }
        return flag
    }

    mutating func texts(_ key: String) throws(ConfigurationError) -> [String]? {
        guard let value = values.removeValue(forKey: key) else { return nil }
        guard let texts = value as? [String], !texts.isEmpty else { throw error(key, "must be a list of texts") }
        return texts
    }

    /// "HOST:PORT"; an IPv6 address stands in brackets.
    mutating func address(_ key: String) throws(ConfigurationError) -> NodeAddress? {
        guard let text = try text(key) else { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port), colon > text.startIndex
        else { throw error(key, "is '\(text)'; it must be HOST:PORT with a port from 1 to 65535") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return NodeAddress(host: String(host), port: port)
    }

    /// A count of bytes, plain or with KiB, MiB, GiB or TiB behind it.
    mutating func bytes(_ key: String) throws(ConfigurationError) -> Int? {
        guard let value = values.removeValue(forKey: key) else { return nil }
        if let number = value as? Int, number >= 0 { return number }
        let units = ["KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
        if let text = value as? String, let shift = units[String(text.suffix(3))],
            let number = Int(text.dropLast(3).trimmingCharacters(in: .whitespaces)), (0..<1 << 20).contains(number)
        {
            return number << shift
        }
        throw error(key, "is '\(value)'; it must be a count of bytes, or end with KiB, MiB, GiB or TiB")
    }

    func finish(allowed: [String]) throws(ConfigurationError) {
        guard let unknown = values.keys.sorted().first else { return }
        throw error(unknown, "is not known here; allowed are \(allowed.joined(separator: ", "))")
    }

    private func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    func error(_ key: String, _ problem: String) -> ConfigurationError {
        ConfigurationError(file: file, key: full(key), problem: problem)
    }
}
