import AuditLedger
import ClusterModel
import FaceModel
import Logging
import Replication
import StorageIO

/// For the other copies of the ledger.
extension LedgerReplica {
    var shard: ShardID { settings.shard }
    var replica: ReplicaID { settings.replica }
    /// Its part among the ledger's copies; nil where it has none, or not yet.
    var role: ReplicaCondition.Role? {
        if case .running(let running) = opening { running.condition.role } else { nil }
    }
    /// Of the newest register that this copy has followed.
    var versionSeen: UInt64 { role?.configuration.version ?? 0 }

    func receive(_ letter: ReplicaLetter) {
        guard case .running(let running) = opening, letter.shard == settings.shard else { return }
        // A letter too many is lost like one on its way.
        _ = running.inbox.add(.letter(letter))
    }

    func report(of shard: ShardID) async -> ReplicaReport? {
        guard case .running(let running) = opening, shard == settings.shard else { return nil }
        return await withCheckedContinuation { continuation in
            let refusal = running.inbox.add(.report { continuation.resume(returning: $0) })
            if refusal != nil { continuation.resume(returning: nil) }
        }
    }

    /// The ledger's register as it was read or has changed.
    func observe(_ register: RegisterState, of shard: ShardID) {
        guard case .running(let running) = opening, shard == settings.shard else { return }
        _ = running.inbox.add(.register(register))
    }

    /// A copy is to leave those in sync.
    func retire(_ replica: ReplicaID) async throws(ShardError) {
        guard case .running(let running) = opening else { throw .unknownShard(shard) }
        let refusal = await withCheckedContinuation { (continuation: CheckedContinuation<ShardError?, Never>) in
            let refusal = running.inbox.add(.retire(replica) { continuation.resume(returning: $0) })
            if let refusal { continuation.resume(returning: refusal) }
        }
        if let refusal { throw refusal }
    }

    func listing(of shard: ShardID, for receiver: ReplicaID) async -> CopyListing? {
        guard case .running(let running) = opening, shard == settings.shard else { return nil }
        return await withCheckedContinuation { continuation in
            let refusal = running.inbox.add(.errand(.lend { continuation.resume(returning: $0) }))
            if refusal != nil { continuation.resume(returning: nil) }
        }
    }

    /// A part of a tile that was listed; shorter than asked for where the tile ends.
    func read(_ chunk: CopyChunk, of shard: ShardID) async -> [UInt8]? {
        guard shard == settings.shard, let tile = LedgerTile(bundlePath: chunk.file),
            tile.bundle ?? .max < chunk.number, 1...CopyListing.chunkBytes ~= chunk.bytes, chunk.offset >= 0
        else { return nil }
        return await withCheckedContinuation { continuation in
            reads.async { [store] in
                do throws(FileError) {
                    continuation.resume(returning: try store.read(tile, chunk.bytes, at: chunk.offset))
                } catch {
                    Logger(label: "facet.ledger").error(
                        "a tile cannot be lent", metadata: ["reason": "\(error.sentence)"])
                    continuation.resume(returning: nil)
                }
            }
        }
    }
}
