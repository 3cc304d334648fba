/// The import table of ARCHITECTURE.md: what each target may import, its tests aside.
enum ImportRules {
    /// Ours and others', one row a target. A target without a row here fails the tests.
    static let allowed: [String: Set<String>] = [
        // Level 1
        "FaceModel": ["Glibc"],
        "StorageIO": ["CLZ4", "CStorageKernels", "Glibc"],
        "AccessControl": ["FaceModel", "Crypto"],
        "KeyHierarchy": ["FaceModel", "Crypto"],
        // Level 2
        "VectorSearch": ["FaceModel", "CVectorKernels", "Glibc"],
        "WriteAheadLog": ["FaceModel", "StorageIO"],
        "SegmentStore": ["FaceModel", "StorageIO", "VectorSearch"],
        "ClusterModel": ["FaceModel"],
        "Replication": ["FaceModel"],
        "AuditLedger": ["FaceModel", "Crypto"],
        // Level 3
        "ShardEngine": levels1And2.union(["GRDB", "Logging", "Metrics"]).union(system),
        "Coordinator": system.union([
            "FaceModel", "KeyHierarchy", "VectorSearch", "ClusterModel", "AuditLedger", "Logging", "Metrics",
        ]),
        "ControlPlane": system.union([
            "FaceModel", "ClusterModel", "GRDB", "AsyncHTTPClient", "Logging", "NIOCore", "NIOPosix", "NIOSSL",
        ]),
        "ClusterTransport": system.union([
            "FaceModel", "ClusterModel", "Replication", "AuditLedger", "Crypto", "Logging", "Metrics", "NIOCore",
            "NIOPosix", "NIOSSL", "NIOTLS", "SwiftASN1", "SwiftProtobuf", "X509",
        ]),
        "FaceExtraction": system.union(["FaceModel", "CFaceExtraction", "Crypto", "Logging", "Metrics"]),
        "Telemetry": ["CoreMetrics", "Hummingbird", "HTTPTypes", "Logging"],
        "ServiceConfiguration": system.union(["FaceModel", "ClusterModel", "ControlPlane", "ClusterTransport", "Yams"]),
        // Level 4
        "RekognitionAPI": system.union([
            "FaceModel", "AccessControl", "ClusterModel", "AuditLedger", "Coordinator", "Telemetry", "Crypto",
            "Logging", "Metrics", "Hummingbird", "HTTPTypes",
        ]),
        // Level 5
        "coordinator": system.union(wired).union([
            "Coordinator", "FaceExtraction", "RekognitionAPI", "Telemetry", "Hummingbird", "ServiceLifecycle",
        ]),
        "shard-node": system.union(wired).union(["Telemetry", "ServiceLifecycle"]),
        "face-extractor": system.union(["FaceExtraction", "ArgumentParser"]),
        "facectl": system.union(wired).union(["AsyncHTTPClient"]),
    ]

    /// Folders of C and C++; they import nothing.
    static let foreign: Set<String> = ["CLZ4", "CStorageKernels", "CVectorKernels", "CFaceExtraction"]

    /// Targets that read no clock, no randomness and no environment, and start no task.
    static let pure: Set<String> = [
        "FaceModel", "StorageIO", "AccessControl", "KeyHierarchy", "VectorSearch", "WriteAheadLog", "SegmentStore",
        "ClusterModel", "Replication", "AuditLedger",
    ]

    private static let levels1And2: Set<String> = [
        "FaceModel", "StorageIO", "AccessControl", "KeyHierarchy", "CVectorKernels", "VectorSearch", "WriteAheadLog",
        "SegmentStore", "ClusterModel", "Replication", "AuditLedger",
    ]
    private static let system: Set<String> = ["Dispatch", "Foundation", "Glibc"]
    private static let wired: Set<String> = [
        "FaceModel", "StorageIO", "AccessControl", "KeyHierarchy", "ClusterModel", "AuditLedger", "ShardEngine",
        "ControlPlane", "ClusterTransport", "ServiceConfiguration", "ArgumentParser", "Logging", "Metrics",
    ]
    /// Parts of the language's own library.
    private static let language: Set<String> = ["Synchronization"]

    static func violations(in file: SourceFile) -> [Violation] {
        guard let target = file.target, !foreign.contains(target) else { return [] }
        guard let allowed = allowed[target] else {
            return [Violation(file.path, 1, "target '\(target)' has no row in the import table")]
        }
        return imports(of: file).compactMap { line, module in
            guard !allowed.contains(module), !language.contains(module), module != target else { return nil }
            return Violation(file.path, line, "\(target) may not import \(module)")
        }
    }

    /// Line number and module of every import, whatever stands before `import` and behind the module's name.
    static func imports(of file: SourceFile) -> [(line: Int, module: String)] {
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        return file.codeLines.enumerated().compactMap { index, line in
            var words = line.split(separator: " ")[...]
            while let word = words.first, word.hasPrefix("@") || AccessRules.levels.contains(word) {
                words.removeFirst()
            }
            guard words.first == "import" else { return nil }
            words.removeFirst()
            if let word = words.first, kinds.contains(word) { words.removeFirst() }
            guard let module = words.first?.split(separator: ".").first else { return nil }
            return (index + 1, String(module))
        }
    }
}
