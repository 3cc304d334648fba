package import ClusterModel
package import Coordinator
package import FaceModel
package import KeyHierarchy

/// Coordinators over several nodes in one process: the nodes are what the maker gives, or such as live in memory.
package final class ClusterBench: Sendable {
    package let controlPlane: MemoryControlPlane
    package let ledger = FakeLedger()
    package let shards: FlakyShards
    package let nodes: [NodeID]
    package let masterKey: MasterKey
    package let index: FaceIndex
    private let replication: ReplicationSettings

    /// Every node has a zone of its own.
    package init(
        _ services: [any ShardService], in controlPlane: MemoryControlPlane = MemoryControlPlane(),
        shardsPerCollection: Int = 1, replication: ReplicationSettings = .single
    ) async throws {
        self.controlPlane = controlPlane
        self.replication = replication
        nodes = try services.indices.map { try Self.node($0) }
        shards = FlakyShards(Dictionary(uniqueKeysWithValues: zip(nodes, services)))
        masterKey = try MasterKey(bytes: Array(0..<32))
        index = FaceIndex(
            controlPlane: controlPlane, shards: shards, ledger: ledger, extractor: FakeExtractor(),
            masterKey: masterKey,
            settings: CoordinatorSettings(
                placement: .registeredNodes, shardsPerCollection: shardsPerCollection, replication: replication),
            now: { Timestamp(milliseconds: 1_000) })
        let inMemory = services.compactMap { $0 as? MemoryNode }
        for (node, service) in zip(nodes, services) {
            register(node, started: 0)
            (service as? MemoryNode)?.join(inMemory, as: node, registers: controlPlane)
        }
    }

    /// As the node does at its start.
    package func register(_ node: NodeID, started: Int64) {
        controlPlane.overwrite(
            .node(
                NodeRegister(
                    node: node, address: NodeAddress(host: "localhost", port: 1), zone: node.text,
                    capacityBytes: 1 << 30, started: Timestamp(milliseconds: started))))
    }

    /// The shard's copies as the registers have them: its register, and the node of each copy.
    package func copies(of shard: ShardID) -> (register: ShardRegister, nodes: [ReplicaID: NodeID])? {
        guard case .shard(let register)? = controlPlane.committed(.shard(shard))?.value else { return nil }
        var nodes: [ReplicaID: NodeID] = [:]
        for found in controlPlane.committed(.replicas(shard)) {
            if case .replica(let replica) = found.value { nodes[replica.replica] = replica.node }
        }
        return (register, nodes)
    }

    package func primary(of shard: ShardID) -> NodeID? {
        copies(of: shard).flatMap { $0.nodes[$0.register.primary] }
    }

    /// Makes the copy on this node the primary, or any other than the present one; as the nodes' own elections do.
    package func elect(_ shard: ShardID, on node: NodeID? = nil) {
        guard let (found, nodes) = copies(of: shard) else { return }
        var register = found
        let heir = register.inSync.first { heir in
            heir != register.primary && (node.map { nodes[heir] == $0 } ?? true)
        }
        guard let heir else { return }
        register.primary = heir
        register.epoch = register.epoch.next
        register.primaryIncarnation = Incarnation(1)
        controlPlane.overwrite(.shard(register))
    }

    /// Learners of the shard become members, as its primary decides.
    package func takeIn(_ shard: ShardID, count: Int) {
        guard var register = copies(of: shard)?.register else { return }
        let joining = register.learners.prefix(count)
        register.learners.removeFirst(joining.count)
        register.inSync = (register.inSync + joining).sorted()
        register.version += 1
        controlPlane.overwrite(.shard(register))
    }

    /// Another coordinator of the same cluster, which may be configured otherwise.
    package func coordinator(
        staleness: String? = nil, replication other: ReplicationSettings? = nil, replacesAfter: Duration? = nil
    ) -> FaceIndex {
        FaceIndex(
            controlPlane: controlPlane, shards: shards, ledger: ledger, extractor: FakeExtractor(),
            masterKey: masterKey,
            settings: CoordinatorSettings(
                placement: .registeredNodes, replication: other ?? replication, replacesAfter: replacesAfter,
                controlPlaneStaleness: { staleness }),
            now: { Timestamp(milliseconds: 1_000) })
    }

    package func context(
        within limit: Duration = .seconds(Limits.requestDeadlineSeconds), partial: Bool = false,
        token: RequestToken = .none
    ) throws -> CallContext {
        guard let key = AccessKeyID("FCTTESTTESTTESTTEST1") else { throw ExtractionError.undecodable(reason: "") }
        return CallContext(
            tenant: .embedded, accessKey: key, person: "Ada", token: token,
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

    package static func node(_ number: Int) throws -> NodeID {
        guard let node = NodeID("node-\(number)") else { throw ExtractionError.undecodable(reason: "") }
        return node
    }
}
