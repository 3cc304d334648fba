import ClusterModel
import FaceModel

/// What the registers say of a shard that an operator asks about.
extension FaceIndex {
    /// A shard of the account's collections, made. The operators' account has all of them, and the ledger.
    func find(_ shard: ShardID, _ context: CallContext) async throws(CoordinatorError) -> MovedShard {
        try await find(shard, as: context.tenant)
    }

    func find(_ shard: ShardID, as tenant: TenantID) async throws(CoordinatorError) -> MovedShard {
        let isOperator = tenant == .cluster
        if case .cluster(let cluster)? = try await readOrReadFresh(.cluster)?.value, shard == ShardID(cluster.id) {
            guard isOperator else {
                throw .impossibleMove(
                    reason: "The ledger is everybody's: its copies are seen to with a key of the operators' account, "
                        + TenantID.cluster.text)
            }
            return MovedShard(place: CollectionMap.Shard(id: shard, node: .embedded, roots: []), handle: nil)
        }
        for register in try await list(.maps) {
            guard case .map(let map) = register.value, map.made, let place = map.shards.first(where: { $0.id == shard })
            else { continue }
            for register in try await list(.allCollections) {
                guard case .collection(let collection) = register.value, collection.uid == map.collection,
                    isOperator || collection.tenant == tenant,
                    let map = try await readFresh(.map(map.collection)), case .map(let value) = map.value
                else { continue }
                return MovedShard(place: place, handle: try handle(collection, value, revision: map.revision))
            }
        }
        throw .shardNotFound(shard)
    }

    /// As the store has them now.
    func registered(_ shard: ShardID) async throws(CoordinatorError) -> RegisteredCopies {
        guard let register = try await readFresh(.shard(shard)), case .shard(let value) = register.value else {
            throw .impossibleMove(reason: "The shard was made before there were registers of copies")
        }
        var copies = RegisteredCopies(register: value, revision: register.revision, replicas: [])
        for name in value.named {
            guard let register = try await readFresh(.replica(shard, name)), case .replica(let replica) = register.value
            else { continue }
            copies.replicas.append(RegisteredCopy(value: replica, revision: register.revision))
        }
        return copies
    }
}

/// A copy's own register.
struct RegisteredCopy {
    var value: ReplicaRegister
    var revision: Revision
}

/// A shard's register and those of the copies that it names.
struct RegisteredCopies {
    var register: ShardRegister
    var revision: Revision
    var replicas: [RegisteredCopy]

    var primary: RegisteredCopy? { replicas.first { $0.value.replica == register.primary } }
    /// Than a shard of this minimum has at least, of which a majority is in sync.
    var hasOneMore: Bool { replicas.count > 2 * register.minInSync - 1 }
    func copy(on node: NodeID) -> RegisteredCopy? { replicas.first { $0.value.node == node } }
}

/// A shard, and its collection; nil of the ledger, which belongs to none.
struct MovedShard {
    var place: CollectionMap.Shard
    var handle: CollectionHandle?
}

/// What is moved where, and what the registers say.
struct CopyMove {
    var shard: MovedShard
    var copies: RegisteredCopies
    var old: NodeID
    var new: NodeID
    var scope: CallScope

    var place: CollectionMap.Shard { shard.place }

    func call(on node: NodeID) -> ShardCall {
        var there = place
        there.node = node
        return scope.call(there)
    }
}
