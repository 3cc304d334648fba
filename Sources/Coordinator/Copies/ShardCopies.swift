import ClusterModel
import FaceModel

/// The copies of one shard as its registers say.
struct ShardCopies: Sendable {
    var register: ShardRegister
    /// Every copy that is named: those in sync first.
    var replicas: [ReplicaRegister]

    /// Where the copy is that decides.
    var primaryNode: NodeID? { replicas.first { $0.replica == register.primary }?.node }

    func replica(on node: NodeID) -> ReplicaRegister? { replicas.first { $0.node == node } }
}

extension ShardRegister {
    /// Those in sync first.
    var named: [ReplicaID] { inSync + learners }
}

/// The registers of a shard that is made, or was made before there were any.
struct NewCopies: Sendable {
    let shard: ShardRegister
    let replicas: [ReplicaRegister]

    /// Copies that are all empty, the first of which begins as the primary. Nobody reigns in epoch 1: the first
    /// election is the nodes' own.
    init(
        of shard: ShardID, on nodes: [NodeID], minInSync: Int, using generator: inout some RandomNumberGenerator
    ) {
        self.init(
            of: shard,
            nodes.map { (ReplicaID(.random(using: &generator).stamped(version: 4)), $0) }, minInSync: minInSync)
    }

    /// The one copy of a shard that was made without registers.
    init(adopting shard: CollectionMap.Shard) {
        self.init(of: shard.id, [(ReplicaID(shard.id.bits), shard.node)], minInSync: 1)
    }

    /// Copies that hold what a shard held at the end of `epoch`: those that have files of it, and those that learn. Nobody
    /// reigns in that epoch.
    init(
        halfOf parent: ShardRegister, _ half: ShardID, made: [ReplicaRegister], learning: [ReplicaRegister],
        epoch: Epoch
    ) {
        let first = made.first { $0.replica == parent.primary } ?? made[0]
        shard = ShardRegister(
            shard: half, generation: parent.generation, version: 1, epoch: epoch, primary: first.replica.half(half),
            primaryIncarnation: Incarnation(0), inSync: made.map { $0.replica.half(half) }.sorted(),
            learners: learning.map { $0.replica.half(half) }.sorted(), minInSync: parent.minInSync)
        replicas = (made + learning).map { copy in
            ReplicaRegister(
                shard: half, replica: copy.replica.half(half), node: copy.node, directory: copy.directory, sealedKey: []
            )
        }
    }

    private init(of shard: ShardID, _ copies: [(replica: ReplicaID, node: NodeID)], minInSync: Int) {
        precondition((1...max(1, copies.count)).contains(minInSync), "no more copies in sync than there are")
        self.shard = ShardRegister(
            shard: shard, generation: Generation(0), version: 1, epoch: Epoch(1), primary: copies[0].replica,
            primaryIncarnation: Incarnation(0), inSync: copies.map(\.replica).sorted(), learners: [],
            minInSync: minInSync)
        // Which directory, and under which key, its node says when it keeps files of a key of their own.
        replicas = copies.map { copy in
            ReplicaRegister(
                shard: shard, replica: copy.replica, node: copy.node, directory: Bits128(high: 0, low: 0),
                sealedKey: [])
        }
    }

    var changes: [RegisterTransaction.Change] {
        [.put(.shard(shard), expecting: .absent)] + replicas.map { .put(.replica($0), expecting: .absent) }
    }
}
