import ClusterModel
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

    /// The node that keeps the ledger; nil while none has claimed it.
    func ledgerKeeper() async -> NodeID? {
        guard case .cluster(let cluster)? = try? await mirror.read(.cluster)?.value else { return nil }
        return cluster.ledger
    }

    func stop() async throws(ControlPlaneError) {
        await mirror.stop()
        try await store.shutdown()
    }
}
