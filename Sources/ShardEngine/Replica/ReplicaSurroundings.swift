package import FaceModel
package import Replication

/// What a replica needs beside its files: who its node is, the registers, and the way to other nodes.
package struct ReplicaSurroundings: Sendable {
    package var node: NodeID
    /// Of this life of the node.
    package var incarnation: Incarnation
    package var registers: any ShardRegisters
    package var post: any ReplicaPost

    package init(node: NodeID, incarnation: Incarnation, registers: any ShardRegisters, post: any ReplicaPost) {
        self.node = node
        self.incarnation = incarnation
        self.registers = registers
        self.post = post
    }
}

/// The way to nowhere, of a node that has no others.
package struct NoPost: ReplicaPost {
    package init() {}
    package func send(_ letter: ReplicaLetter, to node: NodeID) {}
    package func report(
        of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> ReplicaReport? { nil }
}
