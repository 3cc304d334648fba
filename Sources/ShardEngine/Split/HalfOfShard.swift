import ClusterModel
import FaceModel
import Replication
import VectorSearch

/// One of the two shards that take a shard's place, and what of the shard is its.
///
/// A face belongs to the half whose direction is nearer to it, by exact score: the function by which coordinators find
/// it later. Its bucket says nothing of that, since a face may have been put under a bucket of the other side.
struct HalfOfShard {
    let root: LeafID
    /// The bucket of the shard's tree that becomes the half's root.
    let child: LeafID
    /// What it is made of was applied as far as this.
    let through: LogIndex
    /// Of the shard.
    let tree: BucketTree
    /// Rows of the shard's segments that are the half's, by segment: those that its files lack.
    let rows: [UInt64: RowBitmap]

    func holds(_ place: RowPlace) -> Bool { rows[place.segment]?.contains(Int(place.row)) ?? false }

    /// The half's bucket for what stands under one of the shard's. What stood above both, or below the other side, stands
    /// under the root.
    func leaf(_ leaf: LeafID) -> LeafID { tree.isBelow(leaf, child) ? leaf : root }
}
