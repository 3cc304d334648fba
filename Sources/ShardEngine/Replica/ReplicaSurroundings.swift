package import FaceModel
package import Replication

/// What a replica needs beside its files: who its node is, the registers, and the way to other nodes.
package struct ReplicaSurroundings: Sendable {
    package var node: NodeID
    /// Of this life of the node.
    package var incarnation: Incarnation
    package var registers: any ShardRegisters
    package var post: any ReplicaPost
    package var copies: any CopySource
    /// Newest records behind which a log is cut: a copy that lags further is built anew.
    package var recordsKeptForCopies: UInt64
    /// From a change to the record by which a shard's copies compare what they hold.
    package var checkpointDelay: Duration

    package init(
        node: NodeID, incarnation: Incarnation, registers: any ShardRegisters, post: any ReplicaPost,
        copies: any CopySource = NoPost(), recordsKeptForCopies: UInt64 = UInt64(Limits.logRecordsKeptForCopies),
        checkpointDelay: Duration = .seconds(Limits.checkpointDelaySeconds)
    ) {
        self.node = node
        self.incarnation = incarnation
        self.registers = registers
        self.post = post
        self.copies = copies
        self.recordsKeptForCopies = recordsKeptForCopies
        self.checkpointDelay = checkpointDelay
    }
}

/// The way to nowhere, of a node that has no others.
package struct NoPost: ReplicaPost, CopySource {
    package init() {}
    package func send(_ letter: ReplicaLetter, to node: NodeID) {}
    package func report(
        of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> ReplicaReport? { nil }
    package func listing(
        of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
    ) async -> CopyListing? { nil }
    package func read(
        _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [UInt8]? { nil }
    package func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async {}
    package func rows(
        of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [[UInt8]]? { nil }
}
