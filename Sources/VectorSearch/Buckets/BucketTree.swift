package import FaceModel

/// The buckets of a shard: below each of its roots a tree in which a bucket that grew too large has two children.
///
/// Invariants: a face is written under the bucket that `home` gave it, which its log record keeps; from there its present
/// bucket is found by descent alone, so it depends on the record and the tree and on nothing else; a split changes the
/// bucket of no face outside the bucket that is split; ids rise with every split, so that a child's is greater than its
/// parent's and than every id before. A value: copies share the centroids.
package struct BucketTree: Hashable, Sendable {
    private struct Branch: Hashable, Sendable {
        var children: (first: LeafID, second: LeafID)
        /// The children's centroids.
        var sides: DirectionPair

        static func == (a: Branch, b: Branch) -> Bool { a.children == b.children && a.sides == b.sides }
        func hash(into hasher: inout Hasher) { hasher.combine(children.first) }
    }

    /// Buckets of a level that `home` goes on from.
    private static let beamWidth = 8

    /// Rising, never none.
    package let roots: [LeafID]
    private var branches: [LeafID: Branch] = [:]
    private var parents: [LeafID: LeafID] = [:]
    private var greatest: LeafID

    /// Every root is a bucket that was never split. No roots, or one twice, is a programming error.
    package init(roots: [LeafID]) {
        self.roots = roots.sorted()
        guard let last = self.roots.last else { preconditionFailure("a tree stands on something") }
        precondition(Set(roots).count == roots.count, "a root stands once")
        greatest = last
    }

    // MARK: Reading

    /// The buckets that are not split, by rising id.
    package var leaves: [LeafID] {
        (roots + parents.keys).filter { branches[$0] == nil }.sorted()
    }

    package func isLeaf(_ id: LeafID) -> Bool { contains(id) && branches[id] == nil }

    /// Whether the bucket is, or was before it was split, part of this tree.
    package func contains(_ id: LeafID) -> Bool { parents[id] != nil || roots.contains(id) }

    /// Those that were split: no face of theirs is enrolled any more, but rows may still be written under them.
    package var splitBuckets: Set<LeafID> { Set(branches.keys) }

    package var splits: Int { branches.count }

    /// What the next split's children are called.
    package var nextChildren: (LeafID, LeafID) {
        let next = max(greatest.value, UInt32(Limits.shardsPerCollectionMax) - 1) + 1
        return (LeafID(next), LeafID(next + 1))
    }

    /// The direction its faces gather around; nil for a root, which has none.
    package func centroid(of id: LeafID) -> RotatedVector? {
        guard let parent = parents[id], let branch = branches[parent] else { return nil }
        return id == branch.children.first ? branch.sides.first : branch.sides.second
    }

    /// What a bucket was split into; nil for a leaf.
    package func division(of id: LeafID) -> (children: (first: LeafID, second: LeafID), sides: DirectionPair)? {
        branches[id].map { ($0.children, $0.sides) }
    }

    /// Whether `id` came of splits of `ancestor`.
    package func isBelow(_ id: LeafID, _ ancestor: LeafID) -> Bool {
        var at = id
        while let parent = parents[at] {
            if parent == ancestor { return true }
            at = parent
        }
        return false
    }

    /// The bucket of a face that was written under `start`: the nearest child at each level by exact score, of equals
    /// the first. A bucket that is not of this tree is a programming error.
    package func leaf(of vector: RotatedVector, below start: LeafID) -> LeafID {
        precondition(contains(start), "a bucket of another shard")
        guard branches[start] != nil else { return start }
        let values = vector.values.map(Double.init)
        var at = start
        while let branch = branches[at] {
            let scores = branch.sides.scores(values)
            at = scores.1 > scores.0 ? branch.children.second : branch.children.first
        }
        return at
    }

    /// The bucket for a new face: the leaf with the nearest centroid among those reached from `root` by descending to the
    /// `beamWidth` nearest buckets of each level at once; of equals the smaller id.
    ///
    /// A single descent goes wrong where a face stands between two children, and its mates then stand elsewhere: at
    /// 150,000 faces like those of the set "hard" and 500 a leaf, .32 of the faces must be read for .95 of the mates after
    /// single descents, .22 with 8 at once, .26 with every leaf looked at.
    package func home(of vector: RotatedVector, below root: LeafID) -> LeafID {
        precondition(contains(root), "a bucket of another shard")
        let values = vector.values.map(Double.init)
        var best: (score: Float, leaf: LeafID)?
        var level = [(score: Float(0), id: root)]
        while !level.isEmpty {
            var next: [(score: Float, id: LeafID)] = []
            for at in level {
                if let branch = branches[at.id] {
                    let scores = branch.sides.scores(values)
                    next += [(scores.0, branch.children.first), (scores.1, branch.children.second)]
                } else if best.map({ (-at.score, at.id) < (-$0.score, $0.leaf) }) ?? true {
                    best = (at.score, at.id)
                }
            }
            next.sort { (-$0.score, $0.id) < (-$1.score, $1.id) }
            let leaves = next.filter { branches[$0.id] == nil }.prefix(1)
            level = Array(leaves + next.filter { branches[$0.id] != nil }.prefix(Self.beamWidth))
        }
        return best?.leaf ?? root
    }

    /// The leaves that the buckets asked for stand for: themselves, or all their descendants. Others are ignored.
    package func expand(_ asked: [LeafID]) -> Set<LeafID> {
        var found: Set<LeafID> = []
        var seen: Set<LeafID> = []
        var open = asked.filter(contains)
        while let id = open.popLast() {
            guard seen.insert(id).inserted else { continue }
            if let branch = branches[id] {
                open += [branch.children.first, branch.children.second]
            } else {
                found.insert(id)
            }
        }
        return found
    }

    /// Every bucket that a face of `leaves` may still be written under: these and all their ancestors.
    package func paths(to leaves: Set<LeafID>) -> Set<LeafID> {
        var found = leaves
        for leaf in leaves {
            var at = leaf
            while let parent = parents[at], found.insert(parent).inserted { at = parent }
        }
        return found
    }

    // MARK: Growing

    /// Whether `split` may follow on this tree: its parent is a leaf, its children are new, centroids fit each other.
    package func accepts(_ split: BucketSplit) -> Bool {
        let next = nextChildren.0
        let dimension = split.centroids.0.dimension
        return isLeaf(split.parent) && split.children.0 >= next && split.children.0 < split.children.1
            && dimension > 0 && dimension.isMultiple(of: 8) && split.centroids.1.dimension == dimension
    }

    /// A split that the tree does not accept is a programming error.
    package mutating func apply(_ split: BucketSplit) {
        precondition(accepts(split), "a split of another tree")
        branches[split.parent] = Branch(
            children: (split.children.0, split.children.1),
            sides: DirectionPair(split.centroids.0, split.centroids.1))
        parents[split.children.0] = split.parent
        parents[split.children.1] = split.parent
        greatest = split.children.1
    }
}
