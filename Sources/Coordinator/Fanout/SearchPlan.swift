import ClusterModel
import FaceModel

/// What each shard is asked for the probes of one request.
struct SearchPlan: Sendable {
    private let searches: [ShardSearch]
    /// Of each search; nil where every face counts.
    private let routes: [Route]?

    /// `searches` are for every face. `routes`, if any, are as many.
    init(_ searches: [ShardSearch], routes: [Route]? = nil) {
        precondition(routes.map { $0.count == searches.count } ?? true, "a route for each search")
        self.searches = searches
        self.routes = routes
    }

    var count: Int { searches.count }
    var limits: [Int] { searches.map(\.limit) }

    func counts(of search: Int) -> RouteCounts? { routes?[search].counts }

    /// Whether the search has anything to find there.
    func asks(_ shard: CollectionMap.Shard, for search: Int) -> Bool {
        routes.map { $0[search].part(of: shard) != .nothing } ?? true
    }

    func asks(_ shard: CollectionMap.Shard) -> Bool {
        searches.indices.contains { asks(shard, for: $0) }
    }

    /// All searches in their order, so that answers keep it: one that has nothing to find there names no bucket.
    func searches(of shard: CollectionMap.Shard) -> [ShardSearch] {
        searches.enumerated().map { number, search in
            var search = search
            switch routes?[number].part(of: shard) {
            case .everything, nil: break
            case .buckets(let leaves): search.buckets = leaves
            case .nothing: search.buckets = []
            }
            return search
        }
    }
}

/// The answers of several shards to the searches of one request.
struct BatchMerge: ShardGathering {
    private let plan: SearchPlan
    /// Of each search, from the shards it asks.
    private(set) var merges: [SearchMerge]

    init(_ plan: SearchPlan) {
        self.plan = plan
        merges = plan.limits.map(SearchMerge.init)
    }

    /// As many answers as the plan has searches.
    mutating func add(_ answers: [ShardSearchAnswer], from shard: CollectionMap.Shard) {
        precondition(answers.count == merges.count, "an answer to each search")
        for (number, answer) in answers.enumerated() where plan.asks(shard, for: number) {
            merges[number].add(answer, from: shard)
        }
    }
}
