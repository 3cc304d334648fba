/// What a pass over rows is for.
///
/// One query alone without a threshold has no bound at first, and every row that goes on until its bound has risen
/// costs a read from anywhere. So rows can be passed over twice: the first pass follows few rows, those whose estimates
/// promise most, and keeps what the first planes summed up to; their exact scores are scores of live faces, and the
/// `limit`th best of them bounds the second pass, which reads the first planes no more. At 1 M faces of 512 dimensions,
/// top 10, the second pass sends a quarter of the rows on where a single one sends a third.
package enum ScanPass {
    /// There is no other.
    case only
    /// Offers some of the rows, not the best for sure: what it finds is good for a bound alone. Keeps sums for
    /// `answer`.
    case ahead(keeping: UnsafeMutablePointer<UInt16>)
    /// After `ahead` over the same rows for the same query, which kept `sums`.
    case answer(sums: UnsafePointer<UInt16>)

    /// Rows below which a bound from ahead is not worth a second pass.
    package static let rowsMin = 1 << 16
    /// Rows passed ahead at most, so that sums take no more than 8 MiB; the bound of so many is good for the rest too.
    package static let rowsMax = 1 << 22
    /// The score from which a threshold spares most rows by itself.
    private static let thresholdMax: Float = 0.3

    /// Whether a query with this threshold is to pass ahead over rows, if they are many. Where the first scan reads more
    /// than one plane it leaves few rows in any case.
    package static func isWorth(_ query: PreparedQuery, minScore: Float) -> Bool {
        let code = PlaneCode(dimension: query.dimension)
        return query.planes.isUsable && code.first == 1 && minScore < thresholdMax
    }

    var isOnly: Bool { if case .only = self { true } else { false } }
    var isAnswer: Bool { if case .answer = self { true } else { false } }
    var isAhead: Bool { keeping != nil }
    var keeping: UnsafeMutablePointer<UInt16>? { if case .ahead(let keeping) = self { keeping } else { nil } }

    /// The same for the rows behind the first `sums` of these.
    package func dropping(_ sums: Int) -> ScanPass {
        switch self {
        case .only: .only
        case .ahead(let keeping): .ahead(keeping: keeping + sums)
        case .answer(let kept): .answer(sums: kept + sums)
        }
    }
}
