package import ClusterModel
package import Coordinator
package import FaceModel
package import KeyHierarchy

/// Coordinators over several nodes in one process: the nodes are what the maker gives, or such as live in memory.
package final class ClusterBench: Sendable {
    package let controlPlane = MemoryControlPlane()
    package let ledger = FakeLedger()
    package let shards: FlakyShards
    package let nodes: [NodeID]
    package let masterKey: MasterKey
    package let index: FaceIndex

    /// Every node has a zone of its own.
    package init(
        _ services: [any ShardService], shardsPerCollection: Int = 1
    ) async throws {
        nodes = try services.indices.map { try Self.node($0) }
        shards = FlakyShards(Dictionary(uniqueKeysWithValues: zip(nodes, services)))
        masterKey = try MasterKey(bytes: Array(0..<32))
        index = FaceIndex(
            controlPlane: controlPlane, shards: shards, ledger: ledger, extractor: FakeExtractor(),
            masterKey: masterKey,
            settings: CoordinatorSettings(
                placement: .registeredNodes, shardsPerCollection: shardsPerCollection),
            now: { Timestamp(milliseconds: 1_000) })
        for node in nodes {
            let register = NodeRegister(
                node: node, address: NodeAddress(host: "localhost", port: 1), zone: node.text, capacityBytes: 1 << 30,
                started: Timestamp(milliseconds: 0))
            _ = try await controlPlane.commit(
                RegisterTransaction([.put(.node(register), expecting: .absent)]))
        }
    }

    /// Another coordinator of the same cluster.
    package func coordinator(staleness: String? = nil) -> FaceIndex {
        FaceIndex(
            controlPlane: controlPlane, shards: shards, ledger: ledger, extractor: FakeExtractor(),
            masterKey: masterKey,
            settings: CoordinatorSettings(
                placement: .registeredNodes, controlPlaneStaleness: { staleness }),
            now: { Timestamp(milliseconds: 1_000) })
    }

    package func context(
        within limit: Duration = .seconds(Limits.requestDeadlineSeconds), partial: Bool = false
    ) throws -> CallContext {
        guard let key = AccessKeyID("FCTTESTTESTTESTTEST1") else { throw ExtractionError.undecodable(reason: "") }
        return CallContext(
            tenant: .embedded, accessKey: key, person: "Ada", token: .none,
            purpose: SearchPurpose(purpose: "test", caseNumber: "7", authority: nil, source: nil),
            request: RequestID(Bits128(high: 1, low: 1)), deadline: .now + limit, allowsPartial: partial)
    }

    /// The one collection's map.
    package func map() async throws -> Register {
        guard let register = try await controlPlane.list(.maps).first else {
            throw ControlPlaneError.unreadable(path: "map/", reason: "none")
        }
        return register
    }

    private static func node(_ number: Int) throws -> NodeID {
        guard let node = NodeID("node-\(number)") else { throw ExtractionError.undecodable(reason: "") }
        return node
    }
}
