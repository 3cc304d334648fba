import FaceModel
import Foundation
import Yams

/// A configuration file that cannot be used: which file, which key, what is allowed.
struct ConfigurationError: Error, CustomStringConvertible {
    var file: String
    var key: String
    var problem: String
    var description: String { "\(file): \(key.isEmpty ? "" : "key '\(key)': ")\(problem)" }
}

/// What an operator can set; docs/operations.md has the table. Flags override the file.
struct ServerConfiguration: Equatable {
    var data = ".facet/data"
    var host = "127.0.0.1"
    var port = 8900
    var region = "us-east-1"
    var extractorExecutable: String?
    var models = ".runtime/models/sface"
    var runtimeLibrary = ".runtime/lib/libonnxruntime.so"
    var extractorProcesses = 1
    var searchThreads = max(1, ProcessInfo.processInfo.activeProcessorCount)
    var logLevel = "info"

    static let logLevels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]

    init() {}

    /// Relative paths in the file are relative to the directory the server is started in.
    init(file: String) throws(ConfigurationError) {
        let text: String
        do {
            text = try String(contentsOfFile: file, encoding: .utf8)
        } catch {
            throw ConfigurationError(file: file, key: "", problem: "cannot be read; is the path right?")
        }
        try self.init(yaml: text, file: file)
    }

    init(yaml text: String, file: String) throws(ConfigurationError) {
        let root: Any?
        do {
            root = try Yams.load(yaml: text)
        } catch {
            throw ConfigurationError(file: file, key: "", problem: "is not YAML: \(error)")
        }
        var top = try ConfigurationSection(root, file: file, path: "")
        data = try top.text("data") ?? data
        region = try top.text("region") ?? region
        var listen = try top.section("listen")
        host = try listen.text("host") ?? host
        port = try listen.integer("port", in: 1...65_535) ?? port
        try listen.finish(allowed: ["host", "port"])
        var extractor = try top.section("extractor")
        extractorExecutable = try extractor.text("executable") ?? extractorExecutable
        models = try extractor.text("models") ?? models
        runtimeLibrary = try extractor.text("library") ?? runtimeLibrary
        extractorProcesses = try extractor.integer("processes", in: 1...64) ?? extractorProcesses
        try extractor.finish(allowed: ["executable", "models", "library", "processes"])
        var search = try top.section("search")
        searchThreads = try search.integer("threads", in: 1...256) ?? searchThreads
        try search.finish(allowed: ["threads"])
        var log = try top.section("log")
        logLevel = try log.text("level", oneOf: Self.logLevels) ?? logLevel
        try log.finish(allowed: ["level"])
        try top.finish(allowed: ["data", "region", "listen", "extractor", "search", "log"])
    }
}

/// One mapping of the file; every key must be asked for, so that a misspelt one is named.
private struct ConfigurationSection {
    private var values: [String: Any]
    private let file: String
    private let path: String

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

    func finish(allowed: [String]) throws(ConfigurationError) {
        guard let unknown = values.keys.sorted().first else { return }
        throw error(unknown, "is not known here; allowed are \(allowed.joined(separator: ", "))")
    }

    private func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func error(_ key: String, _ problem: String) -> ConfigurationError {
        ConfigurationError(file: file, key: full(key), problem: problem)
    }
}
