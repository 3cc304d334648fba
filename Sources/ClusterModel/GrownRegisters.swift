package import FaceModel

/// An embedded server's registers as a cluster has them whose node `node` has taken over the server's directory
/// (docs/decisions/0032). Pure.
///
/// Which copies there are, what they are called and how far each shard is stays as it was: only the node has a name now.
/// What belongs to one life of a process is left behind.
package struct GrownRegisters: Sendable {
    /// All but the cluster's own and the node's incarnation, which come last: with them the cluster is there.
    package let registers: [RegisterValue]
    package let cluster: ClusterRegister

    /// Nil where the store has no cluster's register: no server ever ran on it.
    package init?(of snapshot: RegisterSnapshot, as node: NodeID) {
        let values = snapshot.registers.map(\.value)
        guard case .cluster(let found)? = values.first(where: { $0.key == .cluster }) else { return nil }
        cluster = ClusterRegister(id: found.id, formatVersion: found.formatVersion, ledger: node)
        registers = values.compactMap { Self.grown($0, as: node) }
    }

    private static func grown(_ value: RegisterValue, as node: NodeID) -> RegisterValue? {
        switch value {
        case .tenant, .accessKey, .collection, .shard, .split: return value
        case .map(var map):
            for index in map.shards.indices { map.shards[index].node = node }
            return .map(map)
        case .replica(var replica):
            replica.node = node
            return .replica(replica)
        case .cluster, .node, .incarnation, .live, .controller: return nil
        }
    }

    /// A shard of it that is being split.
    package var dividedShard: ShardID? {
        registers.lazy.compactMap { if case .split(let split) = $0 { split.shard } else { nil } }.first
    }

    /// What of them `there` lacks. Accounts and keys that were made there before stay as they are.
    package func missing(in there: RegisterSnapshot) -> [RegisterValue] {
        let present = Set(there.registers.map(\.value.key))
        return registers.filter { !present.contains($0.key) }
    }

    /// The path of a register of `there` that an earlier attempt did not put, so that the store is another cluster's or in
    /// use; nil where there is none.
    package func stranger(in there: RegisterSnapshot) -> String? {
        let own = Set(registers)
        let strange = there.registers.first { register in
            switch register.value {
            case .tenant, .accessKey: false
            default: !own.contains(register.value)
            }
        }
        return strange?.value.key.path ?? there.unreadable.first?.path
    }
}
