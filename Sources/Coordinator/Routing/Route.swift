import ClusterModel
import FaceModel

/// Which buckets of each shard one probe is compared with.
struct Route: Sendable {
    /// What of a shard is scored.
    enum Part: Hashable, Sendable {
        case everything
        case buckets([LeafID])
        case nothing
    }

    let counts: RouteCounts
    private let parts: [ShardID: (roots: [LeafID], part: Part)]

    /// `parts`: of the shards that are known, each with the roots it had.
    init(_ parts: [ShardID: (roots: [LeafID], part: Part)], counts: RouteCounts) {
        self.parts = parts
        self.counts = counts
    }

    /// Everything of a shard that is not known, or owns other roots than it did.
    func part(of shard: CollectionMap.Shard) -> Part {
        guard let known = parts[shard.id], known.roots == shard.roots else { return .everything }
        return known.part
    }
}
