package import FaceModel

/// One bucket becomes two: what the log keeps of a division, bit for bit, so that nobody computes it again.
package struct BucketSplit: Hashable, Sendable {
    package let parent: LeafID
    /// Rising, and greater than every id the tree had.
    package let children: (LeafID, LeafID)
    /// Of the children, in their order: unit vectors of the collection's dimension.
    package let centroids: (RotatedVector, RotatedVector)

    package init(parent: LeafID, children: (LeafID, LeafID), centroids: (RotatedVector, RotatedVector)) {
        self.parent = parent
        self.children = children
        self.centroids = centroids
    }

    package static func == (a: BucketSplit, b: BucketSplit) -> Bool {
        a.parent == b.parent && a.children == b.children && a.centroids == b.centroids
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(parent)
        hasher.combine(children.0)
        hasher.combine(children.1)
    }
}
