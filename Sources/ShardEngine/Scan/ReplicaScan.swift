import ClusterModel
import FaceModel
import SegmentStore
import Synchronization
import VectorSearch

/// One query over one snapshot, shared by the scan threads: each part keeps its own best and hands them over.
final class ReplicaScan: Sendable {
    /// What a thread scans before it looks at the shared bound, and whether anybody waits: a quarter of a millisecond by
    /// planes at 512 dimensions, 2 ms where a query has every row scored exactly.
    private static let rowsPerPart = 16_384

    private let snapshot: SearchSnapshot
    private let query: PreparedQuery
    private let parts: [ScanPart]
    private let found: Mutex<Found>

    private struct Found {
        var best: TopK
        var scored = 0
        /// The first that a part met.
        var failure: SegmentError?
    }

    /// `writtenUnder`: the buckets whose rows are compared; nil for every row.
    init(snapshot: SearchSnapshot, query: PreparedQuery, search: ShardSearch, writtenUnder: Set<LeafID>? = nil) {
        self.snapshot = snapshot
        self.query = query
        parts = snapshot.parts(rowsPerPart: Self.rowsPerPart, buckets: writtenUnder)
        found = Mutex(Found(best: TopK(limit: search.limit, minScore: search.minScore)))
    }

    /// Ends at `deadline`, or when the task is cancelled, after the parts that are being scored.
    func run(on pool: ScanPool, until deadline: ContinuousClock.Instant) async -> ScanEnd {
        await pool.run(parts: parts.count, until: deadline) { [self] in scan(parts[$0]) }
    }

    /// The best rows in `Match.precedes` order, and the live faces scored. Call it after `run` was `done`. Throws where a
    /// block could not be read: what the other parts found is no answer.
    func outcome() throws(SegmentError) -> (best: [ScoredRow], scored: Int) {
        let (best, scored, failure) = found.withLock { ($0.best, $0.scored, $0.failure) }
        if let failure { throw failure }
        return (best.sorted(), scored)
    }

    private func scan(_ part: ScanPart) {
        let (limit, bound, failed) = found.withLock { ($0.best.limit, $0.best.bound, $0.failure != nil) }
        guard !failed else { return }
        // The bound so far is the least score that can still enter, ties included.
        var best = TopK(limit: limit, minScore: bound)
        var scratch = ScanScratch()
        do throws(SegmentError) {
            let scored = try snapshot.scan(part, query: query, into: &best, scratch: &scratch)
            found.withLock { found in
                found.best.merge(best)
                found.scored += scored
            }
        } catch {
            found.withLock { $0.failure = $0.failure ?? error }
        }
    }
}
