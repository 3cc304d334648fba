package import ClusterModel
package import FaceModel

/// Which nodes hold copies of the ledger, as the registers tell: `shard/` and `replica/` of the shard that has the
/// cluster's id.
package struct LedgerPlacement: Sendable {
    private static let attemptsMax = 16

    private let shard: ShardID
    private let controlPlane: any ControlPlane

    package init(cluster: Bits128, in controlPlane: any ControlPlane) {
        shard = ShardID(cluster)
        self.controlPlane = controlPlane
    }

    /// The copy that `node` holds, nil where it holds none. Where the ledger has no registers yet, `node` begins it, and
    /// `others` are to have a copy each; the first to commit wins. A ledger that was kept before there were such
    /// registers gets them the same way, from the node that keeps it, which then names no others.
    ///
    /// Only the copy that begins counts at first; the others join once they have what it has. `minInSync` is at most
    /// their number and one.
    package func copy(
        of node: NodeID, with others: [NodeID], minInSync: Int, using generator: inout some RandomNumberGenerator
    ) async throws(ControlPlaneError) -> ReplicaID? {
        for _ in 0..<Self.attemptsMax {
            if try await controlPlane.readFresh(.shard(shard)) != nil { return try await holder(node) }
            let first = ReplicaID(shard.bits)
            let copies =
                [(replica: first, node: node)]
                + others.map { (replica: ReplicaID(.random(using: &generator).stamped(version: 4)), node: $0) }
            let register = ShardRegister(
                shard: shard, generation: Generation(0), version: 1, epoch: Epoch(1), primary: first,
                primaryIncarnation: Incarnation(0), inSync: [first],
                learners: copies.dropFirst().map(\.replica).sorted(), minInSync: minInSync)
            let changes = [RegisterTransaction.Change.put(.shard(register), expecting: .absent)]
            let replicas = copies.map { copy in
                RegisterTransaction.Change.put(
                    .replica(
                        ReplicaRegister(
                            shard: shard, replica: copy.replica, node: copy.node, directory: Bits128(high: 0, low: 0),
                            sealedKey: [])), expecting: .absent)
            }
            if case .committed = try await controlPlane.commit(RegisterTransaction(changes + replicas)) { return first }
        }
        throw .unavailable(reason: "the ledger's registers change again and again", outcomeUnknown: false)
    }

    private func holder(_ node: NodeID) async throws(ControlPlaneError) -> ReplicaID? {
        for register in try await controlPlane.list(.replicas(shard)) {
            if case .replica(let copy) = register.value, copy.node == node { return copy.replica }
        }
        return nil
    }
}
