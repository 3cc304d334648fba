package import ClusterModel
package import FaceModel

/// What was found of a shard whose loss an operator is to accept, and what is done, or would be.
package struct RecoveryAnswer: Sendable {
    /// A copy that the registers name, or that a node holds.
    package struct Copy: Sendable {
        package var replica: ReplicaID
        /// Nil where nobody knows any more.
        package var node: NodeID?
        /// By the newest register that is known; nil where that names it no more.
        package var role: ServiceStatus.CopiesStatus.Role?
        /// Nil where its node does not answer, or has no files of it.
        package var held: HeldCopy?
        /// Why its node says nothing of it.
        package var silence: String?
    }

    package var copies: [Copy]
    package var chosen: LocatedCopy
    /// By which the shard goes on.
    package var register: ShardRegister
    /// False where it was only asked what would be done.
    package var isDone: Bool
}

/// What was made of each shard's registers.
package struct RebuildAnswer: Sendable {
    package enum Outcome: Hashable, Sendable {
        /// The registers are as new as anything that a copy knows.
        case current
        /// Made anew, or would be: this node's copy counts, so many others learn.
        case rebuilt(on: NodeID, learners: Int, generation: Generation)
        /// Copies know a newer register, and no copy that counts by it is there and whole.
        case noMemberLeft
        /// The collection's map names it, and no node has files of it.
        case heldByNobody
        /// These nodes hold it, and no collection's map names it.
        case inNoMap(on: [NodeID])
        /// Somebody else changed its registers meanwhile.
        case contested
    }

    package struct Shard: Sendable {
        package var shard: ShardID
        /// Nil of the ledger, and of shards in no map.
        package var collection: CollectionName?
        package var tenant: TenantID?
        package var isLedger: Bool
        package var outcome: Outcome
    }

    package var shards: [Shard]
    /// Nodes that were not asked.
    package var without: [NodeID]
    package var isDone: Bool
}
