import ClusterModel
import ClusterTransport
import ControlPlane
import FaceModel
import ServiceConfiguration

/// The cluster's registers as a coordinator follows them: in memory, a moment behind etcd.
struct ClusterRegisters: Sendable {
    private let store: EtcdControlPlane
    let mirror: MirroredControlPlane

    static func open(
        _ configuration: ClusterConfiguration, as name: NodeID
    ) async throws(ControlPlaneError) -> ClusterRegisters {
        let store = try EtcdControlPlane(configuration.etcd(as: name))
        let mirror = MirroredControlPlane(store)
        try await mirror.start()
        return ClusterRegisters(store: store, mirror: mirror)
    }

    /// Where a node registered itself at its last start.
    func address(of node: NodeID) async -> NodeAddress? {
        guard case .node(let register)? = try? await mirror.read(.node(node))?.value else { return nil }
        return register.address
    }

    /// Where the ledger is asked; nil while no node has begun it.
    func ledgerKeeper() async -> RemoteLedger.Keeper? {
        guard case .cluster(let cluster)? = try? await mirror.read(.cluster)?.value else { return nil }
        let shard = ShardID(cluster.id)
        guard case .shard(let register)? = try? await mirror.read(.shard(shard))?.value,
            case .replica(let copy)? = try? await mirror.read(.replica(shard, register.primary))?.value
        else { return cluster.ledger.map { .init(node: $0, others: []) } }
        var others: [NodeID] = []
        for name in register.inSync + register.learners where name != register.primary {
            if case .replica(let other)? = try? await mirror.read(.replica(shard, name))?.value {
                others.append(other.node)
            }
        }
        return .init(node: copy.node, others: others)
    }

    func stop() async throws(ControlPlaneError) {
        await mirror.stop()
        try await store.shutdown()
    }
}
