import ClusterModel
package import FaceModel
package import Replication

/// Everything on a node that is a copy of something: its shards of faces, and the ledger where it keeps it.
package struct NodeReplicas: ReplicaHost {
    private let shards: ShardNode
    private let ledger: LedgerReplica?

    package init(shards: ShardNode, ledger: LedgerReplica?) {
        self.shards = shards
        self.ledger = ledger
    }

    package func receive(_ letter: ReplicaLetter) {
        if let ledger, ledger.shard == letter.shard { ledger.receive(letter) } else { shards.receive(letter) }
    }

    package func report(of shard: ShardID) async -> ReplicaReport? {
        if let ledger, ledger.shard == shard {
            await ledger.report(of: shard)
        } else {
            await shards.report(of: shard)
        }
    }

    /// A shard's register as it was read or has changed; of a shard that is not here it is nobody's.
    package func observe(_ register: RegisterState, of shard: ShardID) {
        shards.observe(register, of: shard)
        ledger?.observe(register, of: shard)
    }

    // Tiles of the ledger are not lent: its copies learn from its log alone.

    package func listing(of shard: ShardID, for receiver: ReplicaID) async -> CopyListing? {
        await shards.listing(of: shard, for: receiver)
    }

    package func read(_ chunk: CopyChunk, of shard: ShardID) async -> [UInt8]? { await shards.read(chunk, of: shard) }

    package func release(_ number: UInt64, of shard: ShardID) async { await shards.release(number, of: shard) }
}
