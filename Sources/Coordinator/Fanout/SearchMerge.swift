import ClusterModel
import FaceModel

/// A search of all shards of a collection at one map.
typealias SearchFanout = ShardFanout<SearchMerge>

/// The best candidates of several shards: at most `limit`, in `Match.precedes` order, each face once.
struct SearchMerge: ShardGathering {
    let limit: Int
    private(set) var candidates: [ShardCandidate] = []
    private(set) var facesScored = 0
    private(set) var shardsAnswered = 0

    init(limit: Int) { self.limit = limit }

    /// The answer's candidates are in order, as `implausibility` has made sure.
    mutating func add(_ answer: ShardSearchAnswer, from shard: CollectionMap.Shard) {
        facesScored += answer.facesScored
        shardsAnswered += 1
        var seen: Set<FaceID> = []
        var merged: [ShardCandidate] = []
        var (kept, came) = (candidates[...], answer.candidates[...])
        while merged.count < limit, let next = Self.takeBetter(&kept, &came) {
            if seen.insert(next.face.id).inserted { merged.append(next) }
        }
        candidates = merged
    }

    private static func takeBetter(
        _ a: inout ArraySlice<ShardCandidate>, _ b: inout ArraySlice<ShardCandidate>
    ) -> ShardCandidate? {
        guard let first = a.first else { return b.popFirst() }
        guard let second = b.first else { return a.popFirst() }
        return Match.precedes(second.match, first.match) ? b.popFirst() : a.popFirst()
    }
}

extension ShardCandidate {
    var match: Match { Match(face: face.id, score: score) }
}

extension ShardSearchAnswer {
    /// What shows that this cannot be an answer to `search`; nil when nothing does.
    func implausibility(as search: ShardSearch) -> String? {
        guard candidates.count <= search.limit else { return "it holds more candidates than were asked for" }
        guard facesScored >= candidates.count else { return "it holds more candidates than faces it scored" }
        // False for a score that is no number.
        guard candidates.allSatisfy({ $0.score >= search.minScore }) else { return "a score is below the threshold" }
        guard zip(candidates, candidates.dropFirst()).allSatisfy({ Match.precedes($0.match, $1.match) }) else {
            return "its candidates are not in order"
        }
        return nil
    }
}
