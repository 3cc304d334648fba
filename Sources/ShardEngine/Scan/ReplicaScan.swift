import ClusterModel
import FaceModel
import SegmentStore
import Synchronization
import VectorSearch

/// Queries over one snapshot in one pass, shared by the scan threads: each part keeps its own bests and hands them over.
final class ReplicaScan: Sendable {
    /// What a thread scans before it looks at the shared bound, and whether anybody waits: a quarter of a millisecond by
    /// planes at 512 dimensions, some 15 ms where a query that no rotation made has every row read and scored exactly.
    private static let rowsPerPart = 16_384

    private struct Found {
        var tops: [TopK]
        var scored = 0
        /// The first that a part met.
        var failure: SegmentError?
    }

    private let snapshot: SearchSnapshot
    private let queries: [PreparedQuery]
    private let parts: [ScanPart]
    private let found: Mutex<Found>

    /// All of `searches` compare the same faces: `writtenUnder` are the buckets whose rows they are,
    /// nil for every row. What the searches themselves say of buckets is the caller's to resolve.
    init(snapshot: SearchSnapshot, searches: [ShardSearch], writtenUnder: Set<LeafID>? = nil) {
        self.snapshot = snapshot
        queries = searches.map { PreparedQuery($0.query, sigmas: $0.sigmas) }
        parts = snapshot.parts(rowsPerPart: Self.rowsPerPart, buckets: writtenUnder)
        found = Mutex(Found(tops: searches.map { TopK(limit: $0.limit, minScore: $0.minScore) }))
    }

    /// Ends at `deadline`, or when the task is cancelled, after the parts that are being scored.
    func run(on pool: ScanPool, until deadline: ContinuousClock.Instant) async -> ScanEnd {
        await pool.run(parts: parts.count, until: deadline) { [self] in scan(parts[$0]) }
    }

    /// For each search the best rows in `Match.precedes` order, and the live faces compared. Call it after `run` was
    /// `done`. Throws where a block could not be read: what the other parts found is no answer.
    func outcome() throws(SegmentError) -> (best: [[ScoredRow]], scored: Int) {
        let (tops, scored, failure) = found.withLock { ($0.tops, $0.scored, $0.failure) }
        if let failure { throw failure }
        return (tops.map { $0.sorted() }, scored)
    }

    private func scan(_ part: ScanPart) {
        // The bound so far is the least score that can still enter, ties included.
        let start = found.withLock { found in
            found.failure == nil ? found.tops.map { TopK(limit: $0.limit, minScore: $0.bound) } : nil
        }
        guard var tops = start else { return }
        var scratch = ScanScratch()
        do throws(SegmentError) {
            let scored = try snapshot.scan(part, queries: queries, into: &tops, scratch: &scratch)
            let bests = tops
            found.withLock { found in
                for at in bests.indices { found.tops[at].merge(bests[at]) }
                found.scored += scored
            }
        } catch {
            found.withLock { $0.failure = $0.failure ?? error }
        }
    }
}
