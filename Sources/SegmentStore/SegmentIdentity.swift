package import FaceModel

/// Whose faces a segment directory holds; stands in every file and must agree.
package struct SegmentIdentity: Hashable, Sendable {
    package var tenant: TenantID
    package var collection: CollectionUID
    package var shard: ShardID
    /// The key the blocks are encrypted with; zero, the only one of format 1, means none.
    package var keyID: Bits128
    package var dimension: Int

    package init(
        tenant: TenantID, collection: CollectionUID, shard: ShardID, dimension: Int,
        keyID: Bits128 = Bits128(high: 0, low: 0)
    ) {
        precondition(
            Limits.dimensionRange.contains(dimension) && dimension.isMultiple(of: 8),
            "no collection has this dimension")
        self.tenant = tenant
        self.collection = collection
        self.shard = shard
        self.keyID = keyID
        self.dimension = dimension
    }

    /// The first field in which a file's identity differs, for an error's text.
    func firstDifference(from other: SegmentIdentity) -> String? {
        if tenant != other.tenant { return "tenant" }
        if collection != other.collection { return "collection" }
        if shard != other.shard { return "shard" }
        if keyID != other.keyID { return "key id" }
        return dimension != other.dimension ? "dimension" : nil
    }
}
