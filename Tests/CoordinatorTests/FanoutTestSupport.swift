import ClusterModel
import FaceModel

@testable import Coordinator

/// SplitMix64: seeded, so that a failure repeats.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

enum Fixture {
    static let collection = CollectionUID(Bits128(high: 9, low: 9))

    static func shardID(_ number: Int) -> ShardID { ShardID(Bits128(high: 1, low: UInt64(number))) }

    static func node(_ number: Int) -> NodeID {
        guard let node = NodeID("node-\(number)") else { preconditionFailure("a node's name") }
        return node
    }

    /// Shard `i` owns root `i`.
    static func map(shards: Int, version: UInt64 = 1, firstShard: Int = 0) -> CollectionMap {
        map(version: version, (0..<shards).map { (firstShard + $0, [$0]) })
    }

    static func map(version: UInt64, _ shards: [(id: Int, roots: [Int])]) -> CollectionMap {
        CollectionMap(
            collection: collection, version: version, made: true,
            shards: shards.map { shard in
                .init(id: shardID(shard.id), node: node(shard.id), roots: shard.roots.map { LeafID(UInt32($0)) })
            })
    }

    static func face(_ number: Int) -> FaceID { FaceID(Bits128(high: 0, low: UInt64(number))) }

    static func candidate(_ face: Int, _ score: Float) -> ShardCandidate {
        ShardCandidate(
            score: score,
            face: StoredFace(
                id: Self.face(face), externalImageID: nil, record: FaceRecord(imageID: nil, detail: nil)))
    }

    static func answer(_ candidates: [ShardCandidate], scored: Int? = nil) -> ShardSearchAnswer {
        ShardSearchAnswer(
            candidates: candidates.sorted { Match.precedes($0.match, $1.match) },
            facesScored: scored ?? candidates.count, buckets: 1, at: .zero, tree: .zero)
    }
}

extension ShardFanout.Effect {
    var ask: ShardFanout.Ask? { if case .ask(let ask) = self { ask } else { nil } }
    var opening: ShardFanout.Ask? { if case .open(let ask) = self { ask } else { nil } }
    var cancelled: ShardFanout.Ask? { if case .cancel(let ask) = self { ask } else { nil } }
    var outcome: ShardFanout.Outcome? { if case .finish(let outcome) = self { outcome } else { nil } }
    var located: ShardFanout.Ask? { if case .locate(let ask, _) = self { ask } else { nil } }
    var earlierAsks: Int? { if case .locate(_, let earlier) = self { earlier } else { nil } }
    var earlierReads: Int? { if case .readMap(let earlier) = self { earlier } else { nil } }
}

extension ShardFanout.Outcome {
    var gathered: Gathered? {
        switch self {
        case .complete(let gathered), .partial(let gathered, _): gathered
        case .failed: nil
        }
    }
    var missing: [MissingShard] {
        switch self {
        case .complete: []
        case .partial(_, let missing), .failed(let missing): missing
        }
    }
}
