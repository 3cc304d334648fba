import ClusterModel
import FaceModel
import SegmentStore
import VectorSearch

/// What one search found in one state of a replica, before anybody asked for records.
struct ScanHits: Sendable {
    var view: PublishedReplica.View
    /// In `Match.precedes` order.
    var best: [ScoredRow]
    /// Live faces compared, and buckets they are of.
    var scored: Int
    var buckets: Int
}

/// The scans of one replica: searches of every face share passes, those of some buckets are scanned each by itself.
final class ReplicaScanner: Sendable {
    private let shard: ShardID
    private let pool: ScanPool
    private let published: PublishedReplica
    private let everything: ScanQueue<ShardSearch, ScanHits>

    private let alarm: RotAlarm

    init(shard: ShardID, published: PublishedReplica, pool: ScanPool, alarm: RotAlarm) {
        self.shard = shard
        self.pool = pool
        self.published = published
        self.alarm = alarm
        // As many passes as threads: a small shard is one part, which one thread scans.
        everything = ScanQueue(shard: shard, passesMax: pool.width) { searches, deadline in
            await Self.pass(searches, over: nil, of: published.current, pool, alarm, until: deadline)
        }
    }

    /// For all searches from one state of the replica, which is at least as new as this call.
    func hits(
        of searches: [ShardSearch], until deadline: ContinuousClock.Instant
    ) async throws(ShardError) -> [ScanHits] {
        if searches.allSatisfy({ $0.buckets == nil }) {
            return try await everything.answers(to: searches, until: deadline)
        }
        let view = published.current
        var hits: [ScanHits] = []
        for search in searches {
            let pass = await Self.pass(
                [search], over: search.buckets, of: view, pool, alarm, until: deadline)
            hits += try pass.get()
        }
        return hits
    }

    private static func pass(
        _ searches: [ShardSearch], over buckets: [LeafID]?, of view: PublishedReplica.View, _ pool: ScanPool,
        _ alarm: RotAlarm, until deadline: ContinuousClock.Instant
    ) async -> Result<[ScanHits], ShardError> {
        let selection = BucketSelection(buckets, of: view.tree.tree)
        let none = ScanHits(view: view, best: [], scored: 0, buckets: selection.buckets)
        guard selection.buckets > 0 else { return .success(searches.map { _ in none }) }
        let scan = ReplicaScan(snapshot: view.snapshot, searches: searches, writtenUnder: selection.writtenUnder)
        switch await scan.run(on: pool, until: deadline) {
        case .done: break
        case .full: return .failure(.busy(alarm.shard, reason: "too many searches wait for a scan thread"))
        case .abandoned: return .failure(.deadlineExceeded(alarm.shard))
        }
        do throws(SegmentError) {
            let (bests, scored) = try scan.outcome()
            return .success(
                bests.map { ScanHits(view: view, best: $0, scored: scored, buckets: selection.buckets) })
        } catch {
            return .failure(alarm.raise(error))
        }
    }
}
