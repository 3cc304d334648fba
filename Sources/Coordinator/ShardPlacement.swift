import ClusterModel
import FaceModel

/// Which nodes get the shards of a new collection: spread over zones, then the node with the fewest shards, then the
/// smaller name. The same nodes and maps give the same places.
enum ShardPlacement {
    /// One node for each shard, in the order of the shards; nil when there is no node. `maps`: all of the cluster.
    static func nodes(for count: Int, among nodes: [NodeRegister], maps: [CollectionMap]) -> [NodeID]? {
        guard !nodes.isEmpty else { return nil }
        var load: [NodeID: Int] = [:]
        for shard in maps.flatMap(\.shards) { load[shard.node, default: 0] += 1 }
        var zoneLoad: [String: Int] = [:]
        let ordered = nodes.sorted { $0.node.text < $1.node.text }
        return (0..<count).compactMap { _ in
            let best = ordered.min { a, b in
                let (zoneA, zoneB) = (zoneLoad[a.zone, default: 0], zoneLoad[b.zone, default: 0])
                return zoneA != zoneB ? zoneA < zoneB : load[a.node, default: 0] < load[b.node, default: 0]
            }
            guard let best else { return nil }
            zoneLoad[best.zone, default: 0] += 1
            load[best.node, default: 0] += 1
            return best.node
        }
    }
}
