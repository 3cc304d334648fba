import FaceModel
import VectorSearch

/// How many rows stand in each bucket, about, and which buckets are therefore to be divided.
///
/// A trigger only: deletes are not counted, and what a crash forgets is counted anew from where rows stand. Who divides a
/// bucket counts its live faces and says what became of it.
struct BucketGrowth {
    private var faces: [LeafID: Int] = [:]
    /// From how many faces on a bucket is looked at again that could not be divided.
    private var patience: [LeafID: Int] = [:]
    private var due: Set<LeafID> = []
    /// Not before rows were moved: their faces stand too far apart to be found in reasonable time, or the log took no
    /// more.
    private var postponed: Set<LeafID> = []

    /// `rows`: by the bucket they were written under. Those of buckets that were split since are taken to be spread
    /// evenly over what came of them.
    init(rows: [LeafID: Int], tree: BucketTree) {
        for (id, count) in rows {
            let leaves = tree.expand([id])
            for leaf in leaves { faces[leaf, default: 0] += count / leaves.count }
        }
        for leaf in faces.keys { judge(leaf) }
    }

    var isDue: Bool { !due.isEmpty }

    /// The buckets to divide next, at most `limit`, the fullest first.
    func next(_ limit: Int) -> [LeafID] {
        Array(due.sorted { (faces[$1] ?? 0, $0) < (faces[$0] ?? 0, $1) }.prefix(limit))
    }

    func count(of leaf: LeafID) -> Int { faces[leaf] ?? 0 }

    mutating func count(_ changes: [Change]) {
        for change in changes {
            switch change {
            case .put(let put):
                faces[put.leaf, default: 0] += 1
                judge(put.leaf)
            case .split(let split, _):
                // Whoever divided it knows better, and says so after this.
                let half = count(of: split.parent) / 2
                divided(split.parent, into: [(split.children.0, half), (split.children.1, half)])
            case .delete, .config, .checkpoint, .shardSplit, .splitReleased, .splitAborted: break
            }
        }
    }

    /// So many live faces were found in the bucket; it is as it was.
    mutating func found(_ count: Int, in leaf: LeafID) {
        faces[leaf] = count
        judge(leaf)
    }

    /// It cannot be divided: it is left alone until it has doubled.
    mutating func isIndivisible(_ leaf: LeafID) {
        patience[leaf] = 2 * count(of: leaf)
        judge(leaf)
    }

    mutating func postpone(_ leaf: LeafID) {
        postponed.insert(leaf)
        due.remove(leaf)
    }

    /// Rows stand elsewhere now.
    mutating func resumePostponed() {
        let waiting = postponed
        postponed = []
        for leaf in waiting { judge(leaf) }
    }

    mutating func divided(_ parent: LeafID, into children: [(leaf: LeafID, faces: Int)]) {
        faces[parent] = nil
        patience[parent] = nil
        due.remove(parent)
        for child in children {
            faces[child.leaf] = child.faces
            judge(child.leaf)
        }
    }

    private mutating func judge(_ leaf: LeafID) {
        let most = patience[leaf] ?? BucketDivision.facesMax
        if count(of: leaf) > most, !postponed.contains(leaf) { due.insert(leaf) } else { due.remove(leaf) }
    }
}
