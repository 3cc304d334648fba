import ClusterModel
import FaceModel
import StorageIO

/// What is on the node's disk, whatever the registers say.
extension ShardShelf {
    /// The copies of the shard, or of all. Reads logs of copies that are not open, away from the cooperative pool.
    func held(_ shard: ShardID?) async throws(FileError) -> [HeldCopy] {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<[HeldCopy], FileError>, Never>) in
            changes.addOperation { [self] in
                continuation.resume(returning: Result { () throws(FileError) in try readHeld(shard) })
            }
        }
        return try result.get()
    }

    private func readHeld(_ wanted: ShardID?) throws(FileError) -> [HeldCopy] {
        guard try files.exists(directory) else { return [] }
        let shards = try files.list(directory).compactMap { ShardID(text: $0) }.sorted()
        return shards.filter { wanted == nil || wanted == $0 }.compactMap { shard in
            do throws(ReplicaError) {
                let folder = ShardFolder(of: shard, in: directory, on: files)
                return try HeldCopyReader(files: files).copy(in: folder.path, use(of: shard, in: folder))
            } catch {
                log.error(
                    "a copy says nothing of itself", metadata: ["shard": "\(shard)", "reason": "\(error.text)"])
                return nil
            }
        }
    }

    private func use(of shard: ShardID, in folder: ShardFolder) -> HeldCopyReader.Use {
        switch state.withLock({ $0.slots[shard] }) {
        case .open(let replica):
            if let reason = replica.damaged { return .damaged(reason) }
            return replica.role.map { .open($0) } ?? .closed
        case .damaged(let copy): return .damaged(copy.reason)
        case .changing, nil:
            do throws(ReplicaError) { try folder.requireFiles() } catch { return .damaged(error.text) }
            return .closed
        }
    }
}
