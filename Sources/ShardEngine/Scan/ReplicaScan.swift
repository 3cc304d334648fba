import ClusterModel
import FaceModel
import SegmentStore
import Synchronization
import VectorSearch

/// Queries over one snapshot in one pass, shared by the scan threads: each part keeps its own bests and hands them
/// over. A query by itself, without a threshold that spares most rows, passes over the rows twice: `ScanPass` says why.
final class ReplicaScan: Sendable {
    /// What a thread scans before it looks at the shared bound, and whether anybody waits: a quarter of a millisecond
    /// by planes at 512 dimensions, some 15 ms where a query that no rotation made has every row read and scored
    /// exactly.
    static let rowsPerPart = 16_384

    private struct Found {
        /// What makes the bounds of the pass that answers; no answer.
        var ahead: [TopK]
        var tops: [TopK]
        var scored = 0
        /// The first that a part met.
        var failure: SegmentError?
    }

    private let snapshot: SearchSnapshot
    private let queries: [PreparedQuery]
    private let parts: [ScanPart]
    private let sums: FirstSums
    private let found: Mutex<Found>

    /// All of `searches` compare the same faces: `writtenUnder` are the buckets whose rows they are,
    /// nil for every row. What the searches themselves say of buckets is the caller's to resolve.
    init(
        snapshot: SearchSnapshot, searches: [ShardSearch], writtenUnder: Set<LeafID>? = nil,
        rowsPerPart: Int = ReplicaScan.rowsPerPart, rowsAheadMin: Int = ScanPass.rowsMin
    ) {
        self.snapshot = snapshot
        queries = searches.map { PreparedQuery($0.query, sigmas: $0.sigmas) }
        parts = snapshot.parts(rowsPerPart: rowsPerPart, buckets: writtenUnder)
        sums = FirstSums(
            rooms: parts.map(\.sumsMax), rows: parts.reduce(0) { $0 + $1.rows }, queries: queries,
            minScores: searches.map(\.minScore), rowsMin: rowsAheadMin)
        let tops = searches.map { TopK(limit: $0.limit, minScore: $0.minScore) }
        found = Mutex(Found(ahead: tops, tops: tops))
    }

    /// Parts that are passed ahead over.
    var partsAhead: Int { sums.parts }

    /// Ends at `deadline`, or when the task is cancelled, after the parts that are being scored.
    func run(on pool: ScanPool, until deadline: ContinuousClock.Instant) async -> ScanEnd {
        if sums.parts > 0 {
            let end = await pool.run(parts: sums.parts, until: deadline) { [self] in scan($0, isAhead: true) }
            guard end == .done else { return end }
            found.withLock { found in
                for at in found.tops.indices {
                    let (top, bound) = (found.tops[at], found.ahead[at].bound)
                    found.tops[at] = TopK(limit: top.limit, minScore: max(top.minScore, bound))
                }
            }
        }
        return await pool.run(parts: parts.count, until: deadline) { [self] in scan($0, isAhead: false) }
    }

    /// For each search the best rows in `Match.precedes` order, and the live faces compared. Call it after `run` was
    /// `done`. Throws where a block could not be read: what the other parts found is no answer.
    func outcome() throws(SegmentError) -> (best: [[ScoredRow]], scored: Int) {
        let (tops, scored, failure) = found.withLock { ($0.tops, $0.scored, $0.failure) }
        if let failure { throw failure }
        return (tops.map { $0.sorted() }, scored)
    }

    private func scan(_ part: Int, isAhead: Bool) {
        // The bound so far is the least score that can still enter, ties included.
        let start = found.withLock { found in
            found.failure == nil
                ? (isAhead ? found.ahead : found.tops).map { TopK(limit: $0.limit, minScore: $0.bound) } : nil
        }
        guard var tops = start else { return }
        var scratch = ScanScratch()
        do throws(SegmentError) {
            let scored = try snapshot.scan(
                parts[part], queries: queries, into: &tops, scratch: &scratch,
                pass: sums.pass(part, isAhead: isAhead))
            let bests = tops
            found.withLock { found in
                for at in bests.indices {
                    if isAhead { found.ahead[at].merge(bests[at]) } else { found.tops[at].merge(bests[at]) }
                }
                found.scored += isAhead ? 0 : scored
            }
        } catch {
            found.withLock { $0.failure = $0.failure ?? error }
        }
    }
}
