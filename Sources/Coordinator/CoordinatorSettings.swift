package import FaceModel

/// What a coordinator is told beside its ports.
package struct CoordinatorSettings: Sendable {
    /// Where the shards of a new collection are made.
    package enum Placement: Hashable, Sendable {
        /// In this process.
        case embedded
        /// On the nodes that have a register and answer.
        case registeredNodes
    }
    package var placement: Placement
    /// Shards of a collection whose maker names no number, 1...`Limits.shardsPerCollectionMax`.
    package var shardsPerCollection: Int
    /// Of shards that are made from now on.
    package var replication: ReplicationSettings
    package var ledger: LedgerCopies
    /// How long a node may be silent before its copies are made anew elsewhere; nil: for ever.
    package var replacesAfter: Duration?
    /// Nil while the control plane is followed closely; else how far behind this process may be, for people.
    package var controlPlaneStaleness: @Sendable () -> String?

    package init(
        placement: Placement = .embedded, shardsPerCollection: Int = 1,
        replication: ReplicationSettings = .single, ledger: LedgerCopies = .single, replacesAfter: Duration? = nil,
        controlPlaneStaleness: @escaping @Sendable () -> String? = { nil }
    ) {
        precondition((1...Limits.shardsPerCollectionMax).contains(shardsPerCollection), "checked at the start")
        self.placement = placement
        self.shardsPerCollection = shardsPerCollection
        self.replication = replication
        self.ledger = ledger
        self.replacesAfter = replacesAfter
        self.controlPlaneStaleness = controlPlaneStaleness
    }
}

/// How many copies a shard is made with, and how many of them must have a record before it is acknowledged.
package struct ReplicationSettings: Hashable, Sendable {
    package var copies: Int
    package var minInSync: Int

    /// One copy, on the one node there is.
    package static let single = ReplicationSettings(copies: 1, minInSync: 1)

    package init(copies: Int, minInSync: Int) {
        precondition(copies >= 1 && (1...copies).contains(minInSync), "checked at the start")
        self.copies = copies
        self.minInSync = minInSync
    }
}

/// The nodes that are to keep copies of the ledger, and how many of them must have an entry before it is acknowledged.
package struct LedgerCopies: Hashable, Sendable {
    package var nodes: [NodeID]
    package var minInSync: Int

    /// In this process.
    package static let single = LedgerCopies(nodes: [.embedded], minInSync: 1)

    package init(nodes: [NodeID], minInSync: Int) {
        precondition((1...max(1, nodes.count)).contains(minInSync), "checked at the start")
        self.nodes = nodes
        self.minInSync = minInSync
    }

    var replication: ReplicationSettings { ReplicationSettings(copies: max(1, nodes.count), minInSync: minInSync) }
}
