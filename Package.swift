// swift-tools-version: 6.1
import PackageDescription

/// Runtime files that are not ours (ONNX Runtime's header and library, models) stand here; `make deps` fills it.
let runtime = Context.packageDirectory + "/.runtime"
let strict = Context.environment["CI"] != nil

/// Tests are built from the release build's own modules, so that what is tested is what runs, and nothing is compiled
/// twice. An archive for others is built without them.
let testable = Context.environment["FACET_DIST"] == nil

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .unsafeFlags(testable ? ["-enable-testing"] : [], .when(configuration: .release)),
    .unsafeFlags(strict ? ["-warnings-as-errors"] : []),
]

let cSettings: [CSetting] = [
    .unsafeFlags(["-O3", "-fno-fast-math", "-ffp-contract=off", "-Wall", "-Wextra"] + (strict ? ["-Werror"] : []))
]

let cxxSettings: [CXXSetting] = [
    .unsafeFlags(["-I" + runtime + "/include", "-O2", "-Wall", "-Wextra"] + (strict ? ["-Werror"] : []))
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "Sources/" + path, swiftSettings: settings)
}

/// Tests of one module: it, what they need beside it, and `testdata/` where a suite has such a folder.
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.init(stringLiteral: name)] + dependencies, exclude: exclude,
        swiftSettings: settings)
}

let package = Package(
    name: "facet",
    products: [
        .executable(name: "coordinator", targets: ["coordinator"]),
        .executable(name: "shard-node", targets: ["shard-node"]),
        .executable(name: "face-extractor", targets: ["face-extractor"]),
        .executable(name: "facectl", targets: ["facectl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1.git", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates.git", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio.git", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // Level 1
        module("FaceModel"),
        .systemLibrary(name: "CLZ4", path: "Sources/CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(name: "CStorageKernels", cSettings: cSettings),
        module("StorageIO", ["CLZ4", "CStorageKernels"]),
        module("AccessControl", ["FaceModel", crypto]),
        module("KeyHierarchy", ["FaceModel", crypto]),
        .target(name: "CVectorKernels", cSettings: cSettings),
        // Level 2
        module("VectorSearch", ["FaceModel", "CVectorKernels"]),
        module("WriteAheadLog", ["FaceModel", "StorageIO"]),
        module("SegmentStore", ["FaceModel", "StorageIO", "VectorSearch"]),
        module("ClusterModel", ["FaceModel"]),
        module("Replication", ["FaceModel"]),
        module("AuditLedger", ["FaceModel", crypto]),
        // Level 3
        module(
            "ShardEngine",
            [
                "FaceModel", "StorageIO", "KeyHierarchy", "VectorSearch", "WriteAheadLog", "SegmentStore",
                "ClusterModel", "Replication", "AuditLedger", grdb, log, metrics,
            ]),
        module(
            "Coordinator",
            ["FaceModel", "KeyHierarchy", "VectorSearch", "ClusterModel", "AuditLedger", log, metrics]),
        module("ControlPlane", ["FaceModel", "ClusterModel", grdb, httpClient, log, nio, nioPosix, nioSSL]),
        module(
            "ClusterTransport",
            [
                "FaceModel", "ClusterModel", "Replication", "AuditLedger", asn1, crypto, log, metrics, nio, nioPosix,
                nioSSL, protobuf, x509,
            ]),
        .target(
            name: "CFaceExtraction", cxxSettings: cxxSettings,
            linkerSettings: [.linkedLibrary("turbojpeg"), .linkedLibrary("png16")]),
        module("FaceExtraction", ["FaceModel", "CFaceExtraction", crypto, log, metrics]),
        module("Telemetry", [coreMetrics, hummingbird, httpTypes, log]),
        module("ServiceConfiguration", ["FaceModel", "ClusterModel", "ControlPlane", "ClusterTransport", yams]),
        // Level 4
        module(
            "RekognitionAPI",
            [
                "FaceModel", "AccessControl", "ClusterModel", "AuditLedger", "Coordinator", "Telemetry", crypto,
                httpTypes, hummingbird, log, metrics,
            ]),
        // Level 5
        executable(
            "coordinator", path: "coordinator",
            [
                "FaceModel", "StorageIO", "AccessControl", "KeyHierarchy", "ClusterModel", "AuditLedger",
                "ShardEngine", "Coordinator", "ControlPlane", "ClusterTransport", "FaceExtraction", "RekognitionAPI",
                "ServiceConfiguration", "Telemetry", arguments, hummingbird, lifecycle, log, metrics,
            ]),
        executable(
            "shard-node", path: "shard-node",
            [
                "FaceModel", "StorageIO", "KeyHierarchy", "ClusterModel", "AuditLedger", "ShardEngine", "ControlPlane",
                "ClusterTransport", "ServiceConfiguration", "Telemetry", arguments, lifecycle, log, metrics,
            ]),
        executable("face-extractor", path: "face-extractor", ["FaceExtraction", arguments]),
        executable(
            "facectl", path: "facectl",
            [
                "FaceModel", "StorageIO", "AccessControl", "KeyHierarchy", "ClusterModel", "AuditLedger",
                "ShardEngine", "ControlPlane", "ClusterTransport", "ServiceConfiguration", arguments, httpClient,
            ]),
        // Tests
        .target(
            name: "SimulatedCluster", dependencies: ["FaceModel", "ClusterModel", "Replication", "Coordinator"],
            path: "Tests/SimulatedCluster",
            swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["Replication", "SimulatedCluster"], path: "Tests/Simulate",
            swiftSettings: settings),
        .testTarget(
            name: "ClusterSimulation", dependencies: ["FaceModel", "Replication", "SimulatedCluster"],
            swiftSettings: settings),
        .target(
            name: "SimulatedDisk", dependencies: ["StorageIO"], path: "Tests/SimulatedDisk", swiftSettings: settings),
        .target(
            name: "TestBench",
            dependencies: [
                "FaceModel", "StorageIO", "KeyHierarchy", "VectorSearch", "ClusterModel", "AuditLedger", "ShardEngine",
                "Coordinator", "ControlPlane", "SimulatedDisk",
            ], path: "Tests/TestBench", swiftSettings: settings),
        tests("FaceModel", []),
        tests("StorageIO", ["SimulatedDisk", "CStorageKernels"]),
        tests("AccessControl", ["FaceModel"], exclude: ["testdata"]),
        tests("KeyHierarchy", ["FaceModel"], exclude: ["testdata"]),
        tests("CVectorKernels", []),
        tests("VectorSearch", ["FaceModel"]),
        tests("WriteAheadLog", ["FaceModel", "StorageIO", "SimulatedDisk"]),
        tests("SegmentStore", ["FaceModel", "StorageIO", "VectorSearch"], exclude: ["testdata"]),
        tests("ClusterModel", ["FaceModel"]),
        tests("Replication", ["FaceModel"]),
        tests("AuditLedger", ["FaceModel", crypto], exclude: ["testdata"]),
        tests(
            "ShardEngine",
            [
                "FaceModel", "StorageIO", "KeyHierarchy", "VectorSearch", "WriteAheadLog", "SegmentStore",
                "ClusterModel", "Replication", "AuditLedger", "SimulatedDisk", "TestBench",
            ]),
        tests("Coordinator", ["FaceModel", "ClusterModel", "KeyHierarchy", "AuditLedger", "ShardEngine", "TestBench"]),
        tests("Telemetry", [coreMetrics]),
        tests("ServiceConfiguration", ["ClusterModel"]),
        tests("RekognitionAPI", ["FaceModel", "AccessControl", "Telemetry", "TestBench", metrics, hummingbird]),
        tests("ControlPlane", ["FaceModel", "ClusterModel", httpClient, nio, nioPosix]),
        tests(
            "ClusterTransport",
            [
                "FaceModel", "ClusterModel", "Replication", "AuditLedger", asn1, crypto, nio, nioEmbedded, nioPosix,
                nioSSL, protobuf, x509,
            ]),
        tests("FaceExtraction", ["FaceModel", "CFaceExtraction", "face-extractor", log]),
        .testTarget(name: "TidyTests", dependencies: [crypto], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
