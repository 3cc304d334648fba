import ClusterModel
import FaceModel
import SegmentStore
import VectorSearch

extension FaceContent {
    /// Buckets divided after one batch: what keeps the next one waiting.
    private static let divisionsPerBatch = 8
    /// From fewer faces than this no bucket is divided: its rows are strewn among those of too many others.
    private static let gatheredMin = BucketDivision.sampleMax / 4

    /// Whether a bucket has grown too large and this replica is the one to divide it.
    func owesDivision(_ writer: ReplicaWriter<FaceContent>) -> Bool {
        growth.isDue && split == nil && !repair.isNeeded && writer.failure == nil && writer.core.isServing
    }

    /// Divides the buckets that have grown too large, by records of the log like every other change.
    func divideBuckets(_ writer: ReplicaWriter<FaceContent>) {
        var left = Self.divisionsPerBatch
        while owesDivision(writer), writer.outstanding == nil, left > 0 {
            let due = growth.next(left)
            left -= due.count
            do throws(ReplicaError) {
                try divide(due, writer)
            } catch {
                return maintenanceFailed(error, writer)
            }
            writer.synchronize()
        }
    }

    private func divide(
        _ due: [LeafID], _ writer: ReplicaWriter<FaceContent>
    ) throws(ReplicaError) {
        var tree = tree.tree
        var splits: [(split: BucketSplit, faces: (Int, Int))] = []
        for leaf in due {
            guard let gathered = try gather(leaf, tree) else { continue }
            guard let centroids = BucketDivision.divide(gathered.sample(BucketDivision.sampleMax)) else {
                growth.isIndivisible(leaf)
                continue
            }
            let split = BucketSplit(parent: leaf, children: tree.nextChildren, centroids: centroids)
            tree.apply(split)
            let second = gathered.vectors.count { tree.leaf(of: $0, below: leaf) == split.children.1 }
            let first = gathered.vectors.count - second
            splits.append((split, (first * gathered.stride, second * gathered.stride)))
        }
        guard !splits.isEmpty else { return }
        let batch = ShardMachine(tree: self.tree).batch(splits.map(\.split), at: writer.core.log.last.next)
        writer.write(batch.entries, batch.changes) { [unowned self] result in divided(splits, result) }
    }

    /// What another primary has divided meanwhile is no longer due.
    private func divided(
        _ splits: [(split: BucketSplit, faces: (Int, Int))], _ result: Result<LogIndex, ShardError>
    ) {
        for (split, faces) in splits {
            if case .success = result {
                growth.divided(split.parent, into: [(split.children.0, faces.0), (split.children.1, faces.1)])
            } else {
                growth.postpone(split.parent)
            }
        }
    }

    /// The faces of a bucket that is to be divided; nil where it is not, which `growth` is told.
    private func gather(_ leaf: LeafID, _ tree: BucketTree) throws(ReplicaError) -> GatheredFaces? {
        let gathered = try store.faces(in: leaf, of: tree)
        if gathered.stride > 1, gathered.vectors.count < Self.gatheredMin {
            growth.postpone(leaf)
            return nil
        }
        growth.found(gathered.count, in: leaf)
        return gathered.count > BucketDivision.facesMax ? gathered : nil
    }
}

/// Live faces of one bucket.
struct GatheredFaces {
    /// Rows looked at for one division. A bucket's rows may stand among those of the buckets it came from.
    static let rowsMax = 8_192

    var vectors: [RotatedVector] = []
    /// Of so many rows one was looked at.
    var stride: Int

    /// Live faces in the bucket; exact where every row was looked at.
    var count: Int { vectors.count * stride }

    /// At most `most` of them, evenly.
    func sample(_ most: Int) -> [RotatedVector] {
        guard vectors.count > most else { return vectors }
        return (0..<most).map { vectors[$0 * vectors.count / most] }
    }
}

extension ReplicaStore {
    /// The live faces whose present bucket is `leaf`, wherever they stand; of very many rows some, evenly.
    func faces(in leaf: LeafID, of tree: BucketTree) throws(ReplicaError) -> GatheredFaces {
        let runs = snapshot.runs(of: tree.paths(to: [leaf]))
        let rows = runs.reduce(0) { $0 + $1.rows.count }
        var gathered = GatheredFaces(stride: max(1, (rows + GatheredFaces.rowsMax - 1) / GatheredFaces.rowsMax))
        var next = 0
        for run in runs {
            while next < run.rows.count {
                let locator = RowLocator(source: run.source, row: run.rows.lowerBound + next)
                next += gathered.stride
                guard !snapshot.isDead(at: locator) else { continue }
                let vector = try vector(at: locator)
                if run.leaf == leaf || tree.leaf(of: vector, below: run.leaf) == leaf {
                    gathered.vectors.append(vector)
                }
            }
            next -= run.rows.count
        }
        return gathered
    }

    private func vector(at locator: RowLocator) throws(ReplicaError) -> RotatedVector {
        do throws(SegmentError) { return try snapshot.vector(at: locator) } catch { throw .segments(error) }
    }
}
