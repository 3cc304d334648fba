package import FaceModel

/// How often a node has started; raised by comparing and swapping at each start, before anything else. A data directory
/// that knows a smaller count was rolled back.
package struct IncarnationRegister: Hashable, Sendable {
    package var node: NodeID
    package var incarnation: Incarnation
    package init(node: NodeID, incarnation: Incarnation) {
        self.node = node
        self.incarnation = incarnation
    }
}

/// What a node says of itself once it has scanned its logs and before it acknowledges anything; put under a lease that
/// the node renews, so that it is gone a few seconds after the node.
package struct LiveRegister: Hashable, Sendable {
    package var node: NodeID
    package var incarnation: Incarnation
    /// Its replicas whose logs end in a torn record without proof that anything durable was lost, in order.
    package var suspect: [ReplicaID]
    /// Its replicas whose logs prove a loss, in order. Every replica in neither list is clean.
    package var damaged: [ReplicaID]
    package init(node: NodeID, incarnation: Incarnation, suspect: [ReplicaID], damaged: [ReplicaID]) {
        self.node = node
        self.incarnation = incarnation
        self.suspect = suspect
        self.damaged = damaged
    }
}

/// One copy of a shard. A copy that is built from empty is another replica.
package struct ReplicaRegister: Hashable, Sendable {
    package var shard: ShardID
    package var replica: ReplicaID
    package var node: NodeID
    /// Of the directory that holds it; another directory at the same place is another copy.
    package var directory: Bits128
    /// The key of its files, sealed under the collection's.
    package var sealedKey: [UInt8]
    package init(shard: ShardID, replica: ReplicaID, node: NodeID, directory: Bits128, sealedKey: [UInt8]) {
        self.shard = shard
        self.replica = replica
        self.node = node
        self.directory = directory
        self.sealedKey = sealedKey
    }
}

/// Who holds a shard and who decides for it: *the* register of replication, changed only by transactions that compare
/// its revision; the epoch rises by one exactly when the primary changes.
package struct ShardRegister: Hashable, Sendable {
    package var shard: ShardID
    package var generation: Generation
    /// Rises by one with every change of members that a serving primary makes, and with nothing else.
    package var version: UInt64
    package var epoch: Epoch
    /// One of `inSync`.
    package var primary: ReplicaID
    /// The process that was chosen; another one of the same replica does not reign.
    package var primaryIncarnation: Incarnation
    /// Who has, or will before it answers, every record that was acknowledged; in order, never empty.
    package var inSync: [ReplicaID]
    /// Who receives the log and does not count; in order.
    package var learners: [ReplicaID]
    /// Members without which nothing is acknowledged, 1 or more.
    package var minInSync: Int
    package init(
        shard: ShardID, generation: Generation, version: UInt64, epoch: Epoch, primary: ReplicaID,
        primaryIncarnation: Incarnation, inSync: [ReplicaID], learners: [ReplicaID], minInSync: Int
    ) {
        self.shard = shard
        self.generation = generation
        self.version = version
        self.epoch = epoch
        self.primary = primary
        self.primaryIncarnation = primaryIncarnation
        self.inSync = inSync
        self.learners = learners
        self.minInSync = minInSync
    }
}

/// The coordinator that looks after failovers now, under a lease. Two at a time do no harm: they race by transactions.
package struct ControllerRegister: Hashable, Sendable {
    /// One life of one coordinator.
    package var controller: Bits128
    package var since: Timestamp
    package init(controller: Bits128, since: Timestamp) {
        self.controller = controller
        self.since = since
    }
}
