import ClusterModel
import Synchronization

/// The key of a shard's collection, which no disk has: unknown until a coordinator has brought it.
final class CollectionKeys: Sendable {
    private let held: Mutex<FaceIdentityKeys?>

    init(_ keys: FaceIdentityKeys?) { held = Mutex(keys) }

    var known: FaceIdentityKeys? { held.withLock { $0 } }

    /// False when another is known.
    func take(_ key: FaceIdentityKeys?) -> Bool {
        held.withLock { known in
            guard let key else { return true }
            defer { if known == nil { known = key } }
            return known == nil || known == key
        }
    }
}

extension FaceIdentityKeys {
    /// Nil where the descriptor has no key: a node that starts knows none.
    init?(_ descriptor: ShardDescriptor) {
        guard !descriptor.idKey.isEmpty else { return nil }
        self.init(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion)
    }
}
