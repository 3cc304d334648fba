import ClusterModel
import FaceModel
import SegmentStore
import VectorSearch

/// What a search of some buckets compares.
struct BucketSelection {
    /// Leaves asked for, those that came of split ones instead of these.
    let buckets: Int
    /// The buckets whose rows are compared; nil for all. A face whose bucket was split may still stand among the rows of
    /// what it came from, beside faces of other buckets: those are compared too, until a compaction sorts them.
    let writtenUnder: Set<LeafID>?

    init(_ asked: [LeafID]?, of tree: BucketTree) {
        // A tree with n splits below one root has n + 1 leaves.
        let all = tree.splits + tree.roots.count
        let leaves = asked.map(tree.expand)
        buckets = leaves?.count ?? all
        writtenUnder = leaves.flatMap { $0.count == all ? nil : tree.paths(to: $0) }
    }
}

extension ShardReplica {
    /// How many faces stand in each is taken from where rows stand: those under buckets that were split since count as
    /// spread evenly over what came of them.
    func buckets(after: LeafID?, limit: Int, _ call: ShardCall) throws(ShardError) -> BucketPage {
        let view = try view(call)
        let tree = view.tree.tree
        let growth = BucketGrowth(rows: view.snapshot.leafRows, tree: tree)
        let rest = tree.leaves.filter { leaf in after.map { leaf > $0 } ?? true }
        let page = rest.prefix(limit).map {
            Bucket(leaf: $0, faces: growth.count(of: $0), centroid: tree.centroid(of: $0))
        }
        return BucketPage(tree: view.tree.index, buckets: page, more: rest.count > limit)
    }

    /// Rows that were moved since they were read are read again.
    func sample(_ request: SampleRequest, _ call: ShardCall) throws(ShardError) -> [SampledFace] {
        while true {
            _ = try view(call)
            let rows = try read { () throws(ReplicaError) in try state.sample(request) }
            let view = try view(call)
            let (snapshot, tree) = (view.snapshot, view.tree.tree)
            guard let locators = snapshot.locators(of: rows.map(\.face)) else { continue }
            var sample: [SampledFace] = []
            for (row, locator) in zip(rows, locators) {
                let (record, vector) = try reading { () throws(SegmentError) in
                    (try snapshot.record(at: locator), try snapshot.vector(at: locator))
                }
                guard tree.contains(row.leaf) else {
                    throw .damaged(descriptor.shard, reason: "a face was enrolled under a bucket that is not there")
                }
                sample.append(
                    SampledFace(
                        id: row.face.id, vector: vector, bucket: tree.leaf(of: vector, below: row.leaf),
                        externalImageID: row.face.externalImageID, imageID: record.imageID))
            }
            return sample
        }
    }
}
