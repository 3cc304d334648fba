import ClusterModel
import Dispatch
import FaceModel
import Logging

extension FaceIndex {
    /// The collection's buckets; waits for them only when the collection is routed to for the first time.
    func directory(of handle: CollectionHandle) async throws(CoordinatorError) -> BucketDirectory {
        try await directories.directory(of: handle.collection.uid, mapVersion: handle.map.version) {
            await self.readDirectory(of: handle)
        }
    }

    /// Has the buckets read anew where an answer shows that there are many more by now.
    func renewDirectory(of handle: CollectionHandle) {
        directories.renew(handle.collection.uid) { await self.readDirectory(of: handle) }
    }

    /// A shard that gives no sample leaves the curve to the others'; one that gives no buckets is scored whole.
    private func readDirectory(of handle: CollectionHandle) async -> Result<BucketDirectory, CoordinatorError> {
        let began = ContinuousClock.now
        let read = await gather(
            ShardAnswers<ShardBuckets>(), from: handle, ownScope(.seconds(Limits.bucketsDeadlineSeconds))
        ) { (shard, call) async throws(ShardError) in try await self.buckets(of: shard, call) }
        guard let known = read.gathered?.answers else { return .failure(await incomplete(read, handle)) }
        let sample = await sample(of: known, handle)
        let (version, isWhole) = (read.map.version, read.missing.isEmpty)
        let scatter = isServerModel(handle) ? model.scatter : nil
        let directory = await Self.offPool {
            var generator = SystemRandomNumberGenerator()
            return BucketDirectory(
                known, mapVersion: version, isWhole: isWhole, sample: sample, scatter: scatter, using: &generator)
        }
        measures.directoryRead(since: began)
        return .success(directory)
    }

    private func buckets(
        of shard: CollectionMap.Shard, _ call: ShardCall
    ) async throws(ShardError) -> ShardBuckets {
        var read = ShardBuckets(shard: shard, tree: .zero, buckets: [])
        while true {
            let page = try await shards.buckets(after: read.buckets.last?.leaf, limit: Limits.bucketsPageMax, call)
            read.buckets += page.buckets
            read.tree = page.tree
            // A page that says "more" and holds none would be asked for without end.
            if !page.more || page.buckets.isEmpty { return read }
        }
    }

    /// About a thousand faces of the whole collection, by shard.
    private func sample(of known: [ShardBuckets], _ handle: CollectionHandle) async -> [ShardID: [SampledFace]] {
        let faces = known.reduce(0) { $0 + $1.buckets.reduce(0) { $0 + $1.faces } }
        let most = MateSample.probesMax
        // Faces of one name come together, so a shard may give many more than its part, but not without bound.
        let limit = min(Limits.sampleFacesMax, max(64, 4 * most / max(1, known.count)))
        let request = SampleRequest(every: UInt32(clamping: max(1, faces / most)), limit: limit)
        let gathering = await gather(
            ShardAnswers<(ShardID, [SampledFace])>(), from: handle,
            ownScope(.seconds(Limits.bucketsDeadlineSeconds))
        ) { (shard, call) async throws(ShardError) in (shard.id, try await self.shards.sample(request, call)) }
        return Dictionary(gathering.gathered?.answers ?? [], uniquingKeysWith: { first, _ in first })
    }

    /// Ranking a thousand probes takes a thread for up to seconds, which requests share none of.
    private static func offPool<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { continuation.resume(returning: work()) }
        }
    }
}
