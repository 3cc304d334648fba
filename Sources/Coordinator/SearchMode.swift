package import VectorSearch

/// How a search chooses what it scores, as a client asks for it. The one home of the words for it.
package enum SearchMode: Hashable, Sendable {
    /// Every face is scored, or its planes show at so many standard errors that it lies below the worst candidate.
    case exhaustive
    /// The same by bounds that always hold.
    case certain
    /// Only the buckets worth it: the best mate's is among them with probability `coverage`, within `coverages`.
    case routed(coverage: Double)

    package static let coverages = 0.5...0.999
    package static let coverageDefault = 0.95

    /// As `ShardSearch.sigmas`.
    var sigmas: Double {
        switch self {
        case .exhaustive, .routed: PlaneCode.sigmasDefault
        case .certain: .infinity
        }
    }

    /// One word for a metric's label.
    var word: String {
        switch self {
        case .exhaustive: "exhaustive"
        case .certain: "certain"
        case .routed: "routed"
        }
    }

    /// What answers and ledger state. `route`: what a routed search chose; missing while it has chosen nothing.
    func text(_ route: RouteCounts?) -> String {
        let width = "sigmas=\(sigmas.isInfinite ? "infinity" : "\(Int(sigmas))")"
        switch self {
        case .exhaustive, .certain: return "exhaustive \(width)"
        case .routed(let coverage):
            let chosen = route.map { "source=\($0.source.rawValue) buckets=\($0.probed)/\($0.buckets) " } ?? ""
            return "routed coverage=\(coverage) \(chosen)\(width)"
        }
    }
}

/// What a routed search chose.
package struct RouteCounts: Hashable, Sendable {
    /// Where the knowledge comes from how many buckets are enough.
    package var source: CoverageCurve.Source
    package var probed: Int
    /// Buckets the coordinator knows.
    package var buckets: Int
}
