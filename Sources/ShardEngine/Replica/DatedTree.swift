import FaceModel
import VectorSearch

/// A shard's tree of buckets, and the log position of the last split that made it so.
struct DatedTree: Equatable {
    private(set) var tree: BucketTree
    /// Zero before the first split.
    private(set) var index: LogIndex = .zero

    /// A shard whose buckets were never split.
    init(roots: [LeafID]) { tree = BucketTree(roots: roots) }

    /// The subtree roots the shard owns, rising: none once it was released to the halves of its split.
    func roots(_ split: ShardSplitState?) -> [LeafID] { split?.stage == .released ? [] : tree.roots }

    /// A split that does not follow is a programming error, one from a file is checked before.
    mutating func apply(_ split: BucketSplit, at index: LogIndex) {
        tree.apply(split)
        self.index = index
    }
}
