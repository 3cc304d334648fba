import ClusterModel
import FaceModel
import VectorSearch

/// The buckets of one shard as they were read.
struct ShardBuckets: Sendable {
    var shard: CollectionMap.Shard
    /// As `BucketPage.tree`, of the last page.
    var tree: LogIndex
    var buckets: [Bucket]
}

/// The buckets of all shards of a collection, and how many of them a probe must be compared with.
///
/// It may be older than the shards: a bucket that was split since stands for what came of it, and a shard that is not
/// in it, or has other roots now, is scored whole.
struct BucketDirectory: Sendable {
    private struct Place: Hashable, Sendable {
        var shard: ShardID
        var leaf: LeafID
    }

    /// Version of the map that the shards were read at, and whether all of that map were.
    let mapVersion: UInt64
    let isWhole: Bool
    /// Buckets of all shards.
    let count: Int
    private let shards: [ShardBuckets]
    private let ranking: BucketRanking
    /// Of the centroids, in the ranking's order.
    private let places: [Place]
    private let curve: CoverageCurve

    /// `sample`: faces of the shards, from which the curve is taken. `scatter`: what is known of mates' cosines; nil for
    /// a model nobody measured.
    init(
        _ shards: [ShardBuckets], mapVersion: UInt64, isWhole: Bool, sample: [ShardID: [SampledFace]],
        scatter: MateScatter?, using generator: inout some RandomNumberGenerator
    ) {
        self.mapVersion = mapVersion
        self.isWhole = isWhole
        self.shards = shards.sorted { $0.shard.id < $1.shard.id }
        count = shards.reduce(0) { $0 + $1.buckets.count }
        var places: [Place] = []
        var centroids: [RotatedVector] = []
        for shard in self.shards {
            for bucket in shard.buckets {
                guard let centroid = bucket.centroid else { continue }
                places.append(Place(shard: shard.shard.id, leaf: bucket.leaf))
                centroids.append(centroid)
            }
        }
        self.places = places
        ranking = BucketRanking(centroids: centroids)
        let numbers = Dictionary(uniqueKeysWithValues: places.enumerated().map { ($1, $0) })
        let faces = sample.sorted { $0.key < $1.key }.flatMap { shard, faces in
            faces.compactMap { face in
                numbers[Place(shard: shard, leaf: face.bucket)].map { HomedFace(face: face, home: $0) }
            }
        }
        curve = MateSample(faces, ranking: ranking).curve(scatter: scatter, using: &generator)
    }

    /// Where a further mate's bucket is with probability `coverage`. Roots that were never split have no centroid, and
    /// are always among them.
    func route(_ query: RotatedVector, coverage: Double) -> Route {
        var chosen: [ShardID: [LeafID]] = [:]
        for number in ranking.order(query, first: curve.probes(for: coverage)) {
            chosen[places[number].shard, default: []].append(places[number].leaf)
        }
        var probed = 0
        var parts: [ShardID: (roots: [LeafID], part: Route.Part)] = [:]
        for shard in shards {
            let leaves = shard.buckets.filter { $0.centroid == nil }.map(\.leaf) + chosen[shard.shard.id, default: []]
            probed += leaves.count
            let isEvery = leaves.count == shard.buckets.count || leaves.count > Limits.bucketsPerSearchMax
            let part: Route.Part = isEvery ? .everything : leaves.isEmpty ? .nothing : .buckets(leaves.sorted())
            parts[shard.shard.id] = (shard.shard.roots, part)
        }
        return Route(parts, counts: RouteCounts(source: curve.source, probed: probed, buckets: count))
    }

    /// Whether a shard's answer shows that it has more than a tenth more buckets than this knows.
    func isOutgrown(by answer: ShardSearchAnswer, to search: ShardSearch, of shard: ShardID) -> Bool {
        guard let known = shards.first(where: { $0.shard.id == shard }), answer.tree > known.tree else { return false }
        return answer.buckets * 10 > (search.buckets?.count ?? known.buckets.count) * 11
    }
}
