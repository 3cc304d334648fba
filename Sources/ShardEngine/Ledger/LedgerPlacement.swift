package import ClusterModel
package import FaceModel

/// Which nodes hold copies of the ledger, as the registers tell: `shard/` and `replica/` of the shard that has the
/// cluster's id.
package struct LedgerPlacement: Sendable {
    /// What a node finds that is to keep a copy.
    package enum Outcome: Hashable, Sendable {
        /// `begins`: it may be made from nothing, since it does not count yet, or is the first and nobody has decided.
        case copy(ReplicaID, begins: Bool)
        /// The ledger has copies, and none on this node.
        case elsewhere
        /// A ledger of one copy that was kept before there were such registers, by this node, which must begin them.
        case keptBefore(by: NodeID)
    }

    private static let attemptsMax = 16

    private let shard: ShardID
    private let controlPlane: any ControlPlane

    package init(cluster: Bits128, in controlPlane: any ControlPlane) {
        shard = ShardID(cluster)
        self.controlPlane = controlPlane
    }

    /// The copy that `node` holds. Where the ledger has no registers yet, `node` begins it, and each of `others` is to
    /// have a copy; the first to commit wins. A ledger that `node` has kept until now gets its registers the same way, and
    /// no others. `minInSync` is at most the number of copies.
    ///
    /// Only the copy that begins counts at first; the others join once they have what it has.
    package func copy(
        of node: NodeID, with others: [NodeID], minInSync: Int, using generator: inout some RandomNumberGenerator
    ) async throws(ControlPlaneError) -> Outcome {
        for _ in 0..<Self.attemptsMax {
            // The cluster's register first: both are committed as one, so a keeper seen here whose shard is missing after is
            // one from before there were such registers, and never one that came between the two reads.
            guard let register = try await controlPlane.readFresh(.cluster), case .cluster(let cluster) = register.value
            else { throw .unreadable(path: RegisterKey.cluster.path, reason: "it is missing") }
            if case .shard(let value)? = try await controlPlane.readFresh(.shard(shard))?.value {
                return try await found(value, node)
            }
            if let keeper = cluster.ledger, keeper != node { return .keptBefore(by: keeper) }
            let isKept = cluster.ledger != nil
            var changes = changes(node, isKept ? [] : others, minInSync: isKept ? 1 : minInSync, using: &generator)
            if node != .embedded, !isKept {
                var claimed = cluster
                claimed.ledger = node
                changes.append(.put(.cluster(claimed), expecting: register.revision))
            }
            if case .committed = try await controlPlane.commit(RegisterTransaction(changes)) {
                return .copy(ReplicaID(shard.bits), begins: !isKept)
            }
        }
        throw .unavailable(reason: "the ledger's registers change again and again", outcomeUnknown: false)
    }

    private func changes(
        _ node: NodeID, _ others: [NodeID], minInSync: Int, using generator: inout some RandomNumberGenerator
    ) -> [RegisterTransaction.Change] {
        let first = ReplicaID(shard.bits)
        var copies = [(replica: first, node: node)]
        for other in others { copies.append((ReplicaID(.random(using: &generator).stamped(version: 4)), other)) }
        let register = ShardRegister(
            shard: shard, generation: Generation(0), version: 1, epoch: Epoch(1), primary: first,
            primaryIncarnation: Incarnation(0), inSync: [first], learners: copies.dropFirst().map(\.replica).sorted(),
            minInSync: minInSync)
        return [.put(.shard(register), expecting: .absent)]
            + copies.map { copy in
                .put(
                    .replica(
                        ReplicaRegister(
                            shard: shard, replica: copy.replica, node: copy.node, directory: Bits128(high: 0, low: 0),
                            sealedKey: [])), expecting: .absent)
            }
    }

    private func found(_ register: ShardRegister, _ node: NodeID) async throws(ControlPlaneError) -> Outcome {
        for found in try await controlPlane.list(.replicas(shard)) {
            guard case .replica(let copy) = found.value, copy.node == node,
                (register.inSync + register.learners).contains(copy.replica)
            else { continue }
            let begins = register.epoch == Epoch(1) && register.primary == copy.replica
            return .copy(copy.replica, begins: begins || !register.inSync.contains(copy.replica))
        }
        return .elsewhere
    }
}
