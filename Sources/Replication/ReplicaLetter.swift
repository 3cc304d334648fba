package import FaceModel

/// A record on its way from one replica to another: what all replicas agree on of it.
package struct ReplicaRecord: Hashable, Sendable {
    package var lsn: LogIndex
    package var epoch: Epoch
    /// As the log's format numbers types.
    package var type: UInt8
    package var token: RequestToken
    package var payload: [UInt8]

    package init(lsn: LogIndex, epoch: Epoch, type: UInt8, token: RequestToken, payload: [UInt8]) {
        self.lsn = lsn
        self.epoch = epoch
        self.type = type
        self.token = token
        self.payload = payload
    }
}

/// A message between two replicas of a shard, with the records that an `append` in it speaks of.
package struct ReplicaLetter: Hashable, Sendable {
    package var shard: ShardID
    package var sender: ReplicaID
    package var receiver: ReplicaID
    package var message: ReplicaMessage
    /// Of an `append`: every record of its range, in order. Else none.
    package var records: [ReplicaRecord]

    package init(
        shard: ShardID, sender: ReplicaID, receiver: ReplicaID, message: ReplicaMessage, records: [ReplicaRecord] = []
    ) {
        self.shard = shard
        self.sender = sender
        self.receiver = receiver
        self.message = message
        self.records = records
    }
}

/// The way from a node's replicas to those of other nodes.
package protocol ReplicaPost: Sendable {
    /// Returns at once. The letter may be lost, and come late, twice or after later ones; a node that cannot be reached
    /// loses all of them.
    func send(_ letter: ReplicaLetter, to node: NodeID)
    /// What a node says of its replica of the shard; nil when it has none, or does not answer by `deadline`.
    func report(
        of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> ReplicaReport?
}

/// A node's replicas, as others reach them.
package protocol ReplicaHost: CopyHost {
    /// Returns at once; a letter to a replica that is not here is dropped.
    func receive(_ letter: ReplicaLetter)
    /// Nil when the node has no replica of the shard that could count.
    func report(of shard: ShardID) async -> ReplicaReport?
}
