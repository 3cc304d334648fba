// swift-tools-version: 6.1
import PackageDescription

/// Measurements of single modules. A package of its own, so that the product's never resolves what only they need; it
/// takes the modules' sources by links, because their API is `package`.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")

let package = Package(
    name: "facet-benchmarks",
    dependencies: [
        .package(url: "https://github.com/apple/swift-asn1.git", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates.git", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio.git", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    ],
    targets: [
        module("FaceModel", []),
        module("ClusterModel", ["FaceModel"]),
        module("Replication", ["FaceModel"]),
        module("AuditLedger", ["FaceModel", crypto]),
        module(
            "ClusterTransport",
            [
                "FaceModel", "ClusterModel", "Replication", "AuditLedger", crypto, log, nio, nioPosix, nioSSL,
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        .target(
            name: "CVectorKernels",
            cSettings: [.unsafeFlags(["-O3", "-fno-fast-math", "-ffp-contract=off", "-Wall", "-Wextra"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(
            name: "CStorageKernels",
            cSettings: [.unsafeFlags(["-O3", "-fno-fast-math", "-ffp-contract=off", "-Wall", "-Wextra"])]),
        module("StorageIO", ["CLZ4", "CStorageKernels"]),
        module("VectorSearch", ["FaceModel", "CVectorKernels"]),
        module("SegmentStore", ["FaceModel", "StorageIO", "VectorSearch"]),
        module("WriteAheadLog", ["FaceModel", "StorageIO"]),
        module("KeyHierarchy", ["FaceModel", crypto]),
        module(
            "ShardEngine",
            [
                "FaceModel", "StorageIO", "KeyHierarchy", "VectorSearch", "WriteAheadLog", "SegmentStore",
                "ClusterModel", "Replication",
                "AuditLedger", grdb, log, .product(name: "Metrics", package: "swift-metrics"),
            ]),
        .target(name: "CAllocationCount", cSettings: [.unsafeFlags(["-O2", "-Wall", "-Wextra"])]),
        .executableTarget(
            name: "engine-bench",
            dependencies: [
                "CAllocationCount", "ClusterModel", "CVectorKernels", "FaceModel", "Replication", "SegmentStore",
                "ShardEngine", "StorageIO", "VectorSearch",
            ], swiftSettings: settings),
        .executableTarget(
            name: "transport-bench",
            dependencies: [
                "FaceModel", "ClusterModel", "ClusterTransport", log, nio, nioPosix, nioSSL,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
            ], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
