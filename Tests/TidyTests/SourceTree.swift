import Foundation

/// One Swift file of the project, once as it stands and once with comments and strings blanked.
struct SourceFile: Sendable {
    /// From the repository's root, with `/`.
    let path: String
    let lines: [Substring]
    /// As many lines as `lines`, of the same lengths in bytes.
    let codeLines: [Substring]
    let code: String

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = CodeText.withoutCommentsAndStrings(text)
        codeLines = code.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// `FaceModel` for `Sources/FaceModel/…`; nil for tests.
    var target: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }
}

/// The tree these tests were built from.
enum SourceTree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func swiftFiles() throws -> [SourceFile] {
        // What protoc writes is held to the schema instead (Protos/generated.sha256).
        let paths = try files(below: ["Sources", "Tests"]).filter {
            $0.hasSuffix(".swift") && !$0.contains("/Generated/")
        }
        return try (paths + ["Package.swift"]).map { SourceFile(path: $0, text: try text(of: $0)) }
    }

    /// Everything a person wrote: sources, documents, scripts, configurations.
    static func textFiles() throws -> [(path: String, text: String)] {
        let folders = [
            ".ci", "Sources", "Tests", "Benchmarks", "Protos", "cluster-configs", "deploy", "docs", "loadtests",
            "models",
            "scripts", ".",
        ]
        let paths = try folders.flatMap { folder in try files(below: [folder], recursive: folder != ".") }
        return try paths.compactMap { path in
            let data = try Data(contentsOf: root.appending(path: path))
            guard !data.contains(0), let text = String(data: data, encoding: .utf8) else { return nil }
            return (path, text)
        }
    }

    static func text(of path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    static func files(below folders: [String], recursive: Bool = true) throws -> [String] {
        var found: [String] = []
        for folder in folders {
            let base = root.appending(path: folder).resolvingSymlinksInPath()
            guard FileManager.default.fileExists(atPath: base.path()) else { continue }
            let names =
                recursive
                ? try FileManager.default.subpathsOfDirectory(atPath: base.path())
                : try FileManager.default.contentsOfDirectory(atPath: base.path())
            for name in names where !skipped(name) {
                let path = folder == "." ? name : folder + "/" + name
                var isDirectory: ObjCBool = false
                let exists = FileManager.default.fileExists(
                    atPath: root.appending(path: path).path(), isDirectory: &isDirectory)
                if exists, !isDirectory.boolValue { found.append(path) }
            }
        }
        return found.sorted()
    }

    /// What tools leave behind beside the sources; git ignores the same.
    private static func skipped(_ name: String) -> Bool {
        name == "Package.resolved" || name.hasPrefix(".build/") || name.contains("__pycache__")
            || name.contains(".pytest_cache")
    }
}
