import AuditLedger
import ClusterModel
import FaceModel
import KeyHierarchy
import Synchronization
import VectorSearch

/// What bounds and names the work for one request.
struct CallScope: Sendable {
    var deadline: ContinuousClock.Instant
    var request: RequestID
    /// Of a client's request.
    var session: ReadSession?

    var ledger: LedgerCall { LedgerCall(deadline: deadline, request: request) }

    /// The same, ending at the latest after `limit`.
    func within(_ limit: Duration) -> CallScope {
        CallScope(deadline: min(deadline, .now + limit), request: request, session: session)
    }

    /// The same, ending by `reserve` earlier so that time is left for what follows, or by a quarter of the rest.
    func reserving(_ reserve: Duration) -> CallScope {
        let rest = ContinuousClock.now.duration(to: deadline)
        return CallScope(
            deadline: deadline - max(.zero, min(reserve, rest / 4)), request: request, session: session)
    }

    /// At the node that the shard has here: as a map has it, that of its first copy; as it was placed, its primary's.
    func call(_ shard: CollectionMap.Shard, _ level: ReadLevel = .strong) -> ShardCall {
        ShardCall(
            shard: shard.id, node: shard.node, roots: shard.roots, deadline: deadline, request: request, level: level)
    }
}

extension CallContext {
    var scope: CallScope { CallScope(deadline: deadline, request: request, session: session) }
}

/// A collection as one request uses it: its register and map as just read, and what its key gives.
struct CollectionHandle: Sendable {
    var collection: CollectionRegister
    /// Of the map's register.
    var mapRevision: Revision
    var map: CollectionMap
    var secrets: CollectionSecrets

    /// The subtree root that a new face belonged below before any shard was split: the anchor of the same number is the
    /// nearest to it.
    func anchor(of vector: RotatedVector) -> LeafID { LeafID(UInt32(secrets.anchors.home(of: vector))) }

    func descriptor(of shard: CollectionMap.Shard, _ replica: ReplicaID) -> ShardDescriptor {
        ShardDescriptor(
            tenant: collection.tenant, collection: collection.uid, shard: shard.id, replica: replica,
            dimension: collection.dimension, modelVersion: collection.modelVersion,
            idKey: secrets.idKey, roots: shard.roots)
    }
}

extension CollectionMap {
    /// The subtree root that a new face belongs below: from its anchor along the divisions that were made since.
    func home(of vector: RotatedVector, from anchor: LeafID) -> LeafID {
        var root = anchor
        for division in divisions where division.root == root {
            let sides = DirectionPair(division.sides.first, division.sides.second)
            if sides.isNearerToSecond(vector) { root = division.second }
        }
        return root
    }

    /// How many anchors the collection has: one for each root that no division brought. Nil for a map whose roots are not
    /// 0, 1, 2 ... once each, which another version of Facet may write.
    var anchorCount: Int? {
        let roots = shards.flatMap(\.roots).sorted()
        let numbered = roots.enumerated().allSatisfy { $0.element.value == UInt32($0.offset) }
        guard numbered, (1...Limits.shardsPerCollectionMax).contains(roots.count), divisions.count < roots.count else {
            return nil
        }
        return roots.count - divisions.count
    }
}

/// What a collection's key derives; made once for each collection, since a rotation costs a permutation of its size.
struct CollectionSecrets: Sendable {
    var idKey: [UInt8]
    var rotation: Rotation
    var anchors: Anchors

    init(key: CollectionKey, dimension: Int, anchorCount: Int) throws(VectorError) {
        idKey = key.idKey
        rotation = try Rotation(dimension: dimension, seed: key.rotationSeed)
        anchors = Anchors(count: anchorCount, dimension: dimension, seed: key.anchorSeed)
    }
}

/// The secrets of collections in use, by the collection's uid.
final class CollectionCache: Sendable {
    private let state = Mutex<[CollectionUID: CollectionSecrets]>([:])

    func secrets(_ uid: CollectionUID) -> CollectionSecrets? { state.withLock { $0[uid] } }
    func keep(_ secrets: CollectionSecrets, for uid: CollectionUID) { state.withLock { $0[uid] = secrets } }
    func forget(_ uid: CollectionUID) { state.withLock { $0[uid] = nil } }
}
