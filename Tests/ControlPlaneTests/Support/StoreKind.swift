import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import Testing

/// Every implementation of the port; the suites run against each.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, etcd, mirroredSQLite, mirroredEtcd

    /// Those that keep registers; a mirror passes their changes on.
    static let stores: [StoreKind] = [.sqlite, .etcd]

    var testDescription: String { rawValue }

    /// A store of its own, empty.
    func with(_ body: (any ControlPlane) async throws -> Void) async throws {
        switch self {
        case .sqlite:
            try await Self.withFile { try await body(try SQLiteControlPlane(path: $0)) }
        case .etcd:
            let store = try EtcdControlPlane(Self.configuration(of: [EtcdProcess.running().endpoint]))
            try await eventually { try await store.read(.cluster) == nil }
            try await body(store)
            try await store.shutdown()
        case .mirroredSQLite: try await StoreKind.sqlite.with { try await Self.mirroring($0, body) }
        case .mirroredEtcd: try await StoreKind.etcd.with { try await Self.mirroring($0, body) }
        }
    }

    private static func mirroring(
        _ store: any ControlPlane, _ body: (any ControlPlane) async throws -> Void
    ) async throws {
        let mirror = MirroredControlPlane(store)
        try await mirror.start()
        try await body(mirror)
        await mirror.stop()
    }

    static func withFile(_ body: (String) async throws -> Void) async throws {
        let path = NSTemporaryDirectory() + "facet-control-\(UUID().uuidString).sqlite"
        defer {
            for suffix in ["", "-wal", "-shm"] { _ = try? FileManager.default.removeItem(atPath: path + suffix) }
        }
        try await body(path)
    }

    /// Registers of its own for each test; quick to look after its watches.
    /// With no patience for another round over the endpoints there is one, of two seconds each.
    static func configuration(of endpoints: [String], patience: Duration = .seconds(6)) -> EtcdConfiguration {
        var configuration = EtcdConfiguration(endpoints: endpoints, cluster: "test-\(UUID().uuidString)")
        configuration.checkInterval = .milliseconds(100)
        configuration.avoidance = .milliseconds(50)
        configuration.avoidanceMax = .milliseconds(200)
        configuration.attemptTimeout = .seconds(2)
        configuration.requestTimeout = .seconds(2) + patience
        return configuration
    }
}

/// Asks again until it is so. Failures to answer count as "not yet"; a minute is no measure but the end of patience.
func eventually(
    _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < end {
        if (try? await condition()) == true { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record(comment ?? "it never became so", sourceLocation: sourceLocation)
    throw CancellationError()
}

extension ControlPlane {
    /// Commits and returns the revision; a conflict fails the test.
    @discardableResult
    func put(_ values: RegisterValue..., expecting: Revision = .absent) async throws -> Revision {
        let outcome = try await commit(RegisterTransaction(values.map { .put($0, expecting: expecting) }))
        guard case .committed(let revision) = outcome else {
            Issue.record("\(outcome)")
            throw CancellationError()
        }
        return revision
    }

    @discardableResult
    func delete(_ key: RegisterKey, expecting: Revision) async throws -> Revision {
        let outcome = try await commit(RegisterTransaction([.delete(key, expecting: expecting)]))
        guard case .committed(let revision) = outcome else {
            Issue.record("\(outcome)")
            throw CancellationError()
        }
        return revision
    }
}
