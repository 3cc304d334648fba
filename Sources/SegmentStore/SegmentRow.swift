package import FaceModel

/// One face as the buffer and a segment hold it.
package struct SegmentRow: Hashable, Sendable {
    package var id: FaceID
    package var leaf: LeafID
    package var vector: RotatedVector
    package var record: FaceRecord

    package init(id: FaceID, leaf: LeafID, vector: RotatedVector, record: FaceRecord) {
        self.id = id
        self.leaf = leaf
        self.vector = vector
        self.record = record
    }

    /// The order of rows in a segment.
    static func precedes(_ a: SegmentRow, _ b: SegmentRow) -> Bool { (a.leaf, a.id) < (b.leaf, b.id) }
}
