import ClusterModel
import FaceModel
import KeyHierarchy
import Synchronization
import VectorSearch

/// A collection as one request uses it: its register and map as just read, and what its key gives.
struct CollectionHandle: Sendable {
    var register: Register
    var map: CollectionMap
    var collection: CollectionRegister
    var secrets: CollectionSecrets

    /// The shard that takes a new face. Home is the nearest anchor once a map has several shards.
    var home: ShardID {
        precondition(map.shards.count == 1, "a map of several shards needs anchors")
        return map.shards[0].id
    }

    func descriptor(of shard: ShardID) -> ShardDescriptor {
        ShardDescriptor(
            tenant: collection.tenant, collection: collection.uid, shard: shard, dimension: collection.dimension,
            modelVersion: collection.modelVersion, idKey: secrets.idKey)
    }
}

/// What a collection's key derives; made once for each collection, since a rotation costs a permutation of its size.
struct CollectionSecrets: Sendable {
    var idKey: [UInt8]
    var rotation: Rotation

    init(key: CollectionKey, dimension: Int) throws(VectorError) {
        idKey = key.idKey
        rotation = try Rotation(dimension: dimension, seed: key.rotationSeed)
    }
}

/// The secrets of collections in use and the shards already opened, by the collection's uid.
final class CollectionCache: Sendable {
    private struct State {
        var secrets: [CollectionUID: CollectionSecrets] = [:]
        var opened: Set<ShardID> = []
    }
    private let state = Mutex(State())

    func secrets(_ uid: CollectionUID) -> CollectionSecrets? { state.withLock { $0.secrets[uid] } }
    func keep(_ secrets: CollectionSecrets, for uid: CollectionUID) { state.withLock { $0.secrets[uid] = secrets } }
    func isOpen(_ shard: ShardID) -> Bool { state.withLock { $0.opened.contains(shard) } }
    func markOpen(_ shard: ShardID) { _ = state.withLock { $0.opened.insert(shard) } }

    func forget(_ uid: CollectionUID, shards: [ShardID]) {
        state.withLock { state in
            state.secrets[uid] = nil
            state.opened.subtract(shards)
        }
    }
}
