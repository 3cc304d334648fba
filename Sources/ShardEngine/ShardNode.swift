package import ClusterModel
package import FaceModel
import Foundation
import Logging
package import StorageIO
import Synchronization

/// The shards of one node: opens and closes replicas and passes requests to them.
///
/// A replica that is damaged is kept as such: its requests are refused with the reason, all others go on.
package final class ShardNode: ShardService {
    private enum Slot {
        case open(ShardReplica)
        case damaged(reason: String)
    }

    private let directory: String
    private let files: any FileSystem
    private let pool: ScanPool
    private let slots = Mutex<[ShardID: Slot]>([:])
    /// Opening reads whole files; it must not hold up the cooperative pool.
    private let openings = DispatchQueue(label: "facet.shard-openings")
    private let log = Logger(label: "facet.node")

    /// `directory` holds one folder a shard.
    package init(directory: String, files: any FileSystem, pool: ScanPool) {
        self.directory = directory
        self.files = files
        self.pool = pool
    }

    package func open(_ descriptor: ShardDescriptor) async throws(ShardError) {
        let slot = await withCheckedContinuation { continuation in
            openings.async { [self] in continuation.resume(returning: opened(descriptor)) }
        }
        if case .damaged(let reason) = slot { throw .damaged(descriptor.shard, reason: reason) }
    }

    package func drop(_ shard: ShardID) async throws(ShardError) {
        let slot = slots.withLock { $0.removeValue(forKey: shard) }
        if case .open(let replica)? = slot { await replica.stop() }
        do throws(FileError) {
            let path = path(of: shard)
            if try files.exists(path) { try files.removeDirectoryTree(path) }
        } catch {
            throw .stopped(shard, reason: "its files cannot be removed: \(error)")
        }
    }

    package func enrol(_ faces: [NewFace], in shard: ShardID) async throws(ShardError) -> EnrolOutcome {
        let outcome = try await replica(shard).write(.enrol(faces))
        guard case .enrolled(let ids, let lsn) = outcome else { preconditionFailure("an enrolment became \(outcome)") }
        return EnrolOutcome(faces: ids, lsn: lsn)
    }

    package func delete(
        _ faces: [FaceID], in shard: ShardID, token: RequestToken
    ) async throws(ShardError) -> DeleteOutcome {
        let outcome = try await replica(shard).write(.delete(faces, token: token))
        guard case .deleted(let ids, let missing, let lsn) = outcome else {
            preconditionFailure("a delete became \(outcome)")
        }
        return DeleteOutcome(deleted: ids, notFound: missing, lsn: lsn)
    }

    package func search(_ search: ShardSearch, in shard: ShardID) async throws(ShardError) -> ShardSearchAnswer {
        try await replica(shard).search(search, on: pool)
    }

    package func faces(_ ids: [FaceID], in shard: ShardID) async throws(ShardError) -> [StoredFace] {
        try replica(shard).faces(ids)
    }

    package func vector(_ id: FaceID, in shard: ShardID) async throws(ShardError) -> RotatedVector? {
        try replica(shard).vector(id)
    }

    package func list(after: FaceID?, limit: Int, in shard: ShardID) async throws(ShardError) -> FacePage {
        try replica(shard).list(after: after, limit: limit)
    }

    package func statistics(_ shard: ShardID) async throws(ShardError) -> ShardStatistics {
        try replica(shard).statistics()
    }

    /// Ends every writer; returns when all files are closed. Requests that come later are refused.
    package func stop() async {
        let replicas = slots.withLock { slots in
            slots.values.compactMap { slot -> ShardReplica? in
                if case .open(let replica) = slot { replica } else { nil }
            }
        }
        for replica in replicas { await replica.stop() }
        pool.stop()
    }

    private func opened(_ descriptor: ShardDescriptor) -> Slot {
        if let slot = slots.withLock({ $0[descriptor.shard] }) { return slot }
        do throws(ReplicaError) {
            let slot = Slot.open(try ShardReplica(descriptor, directory: path(of: descriptor.shard), on: files))
            slots.withLock { $0[descriptor.shard] = slot }
            return slot
        } catch {
            log.error(
                "a shard cannot be opened",
                metadata: ["shard": "\(descriptor.shard)", "reason": "\(error.text)"])
            // Want of space passes: the next request tries again.
            if !error.passes { slots.withLock { $0[descriptor.shard] = .damaged(reason: error.text) } }
            return .damaged(reason: error.text)
        }
    }

    private func replica(_ shard: ShardID) throws(ShardError) -> ShardReplica {
        switch slots.withLock({ $0[shard] }) {
        case .open(let replica): return replica
        case .damaged(let reason): throw .damaged(shard, reason: reason)
        case nil: throw .unknownShard(shard)
        }
    }

    private func path(of shard: ShardID) -> String { "\(directory)/\(shard)" }
}
