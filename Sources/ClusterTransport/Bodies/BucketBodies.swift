import ClusterModel
import FaceModel
import Foundation

extension WireBucketsRequest {
    init(after: LeafID?, limit: Int, _ call: WireShardCall) {
        self.init()
        self.call = call
        if let after { self.after = after.value }
        self.limit = UInt32(limit)
    }

    func domain() throws(BodyError) -> ShardRequest {
        .buckets(
            after: hasAfter ? LeafID(after) : nil, limit: try Fields.limit(limit, "limit", 1...Limits.bucketsPageMax))
    }
}

extension WireBucketsAnswer {
    /// Every centroid has the shard's dimension; another is the node's own bug.
    init(_ page: BucketPage) {
        self.init()
        tree = page.tree.value
        leaves = FieldBytes.words(page.buckets.lazy.map(\.leaf.value))
        faces = FieldBytes.words(page.buckets.lazy.map { UInt32(clamping: $0.faces) })
        withCentroid = Data(page.buckets.map { $0.centroid == nil ? 0 : 1 })
        let vectors = page.buckets.compactMap(\.centroid)
        dimension = UInt32(vectors.first?.dimension ?? 0)
        centroids = FieldBytes.vectors(vectors)
        more = page.more
    }

    /// At most `limit` buckets after `after` were asked for.
    func domain(after: LeafID?, limit: Int) throws(BodyError) -> BucketPage {
        let leaves = try Fields.leaves(leaves, "leaves", max: limit)
        let faces = try Fields.words(faces, "faces", max: limit)
        guard faces.count == leaves.count, withCentroid.count == leaves.count else {
            throw BodyError("faces", "\(faces.count) counts and \(withCentroid.count) marks of \(leaves.count) leaves")
        }
        guard withCentroid.allSatisfy({ $0 < 2 }) else { throw BodyError("with_centroid", "neither 0 nor 1") }
        let vectors = try Fields.vectors(
            centroids, "centroids", count: withCentroid.count { $0 == 1 }, dimension: dimension)
        try LeafOrder.check(leaves, after: after)
        var next = vectors.makeIterator()
        let buckets = zip(zip(leaves, faces), withCentroid).map { bucket, has in
            Bucket(leaf: bucket.0, faces: Int(bucket.1), centroid: has == 1 ? next.next() : nil)
        }
        return BucketPage(tree: LogIndex(tree), buckets: buckets, more: more)
    }
}

extension WireSampleRequest {
    init(_ request: SampleRequest, _ call: WireShardCall) {
        self.init()
        self.call = call
        every = request.every
        limit = UInt32(request.limit)
    }

    func domain() throws(BodyError) -> ShardRequest {
        guard every > 0 else { throw BodyError("every", "0; 1 is the least") }
        return .sample(
            SampleRequest(every: every, limit: try Fields.limit(limit, "limit", 1...Limits.sampleFacesMax)))
    }
}

extension WireSampleAnswer {
    init(_ sample: [SampledFace]) {
        self.init()
        faces = WireFaces(
            sample.map {
                StoredFace(
                    id: $0.id, externalImageID: $0.externalImageID,
                    record: FaceRecord(imageID: $0.imageID, detail: nil))
            })
        leaves = FieldBytes.words(sample.lazy.map(\.bucket.value))
        dimension = UInt32(sample.first?.vector.dimension ?? 0)
        vectors = FieldBytes.vectors(sample.map(\.vector))
    }

    /// At most `limit` faces were asked for.
    func domain(limit: Int) throws(BodyError) -> [SampledFace] {
        let stored = try faces.stored("faces", max: limit)
        try FaceOrder.check(stored)
        let leaves = try Fields.leaves(leaves, "leaves", max: limit)
        guard leaves.count == stored.count else {
            throw BodyError("leaves", "\(leaves.count) leaves of \(stored.count) faces")
        }
        let vectors = try Fields.vectors(vectors, "vectors", count: stored.count, dimension: dimension)
        return zip(zip(stored, leaves), vectors).map { face, vector in
            SampledFace(
                id: face.0.id, vector: vector, bucket: face.1, externalImageID: face.0.externalImageID,
                imageID: face.0.record.imageID)
        }
    }
}

private enum LeafOrder {
    /// Throws unless the ids rise beyond `after`.
    static func check(_ leaves: [LeafID], after: LeafID?) throws(BodyError) {
        if let after, let first = leaves.first, first <= after {
            throw BodyError("leaves", "the page begins before what was asked")
        }
        for index in leaves.indices.dropFirst() where leaves[index] <= leaves[index - 1] {
            throw BodyError("leaves", "leaf \(index) is out of order")
        }
    }
}
