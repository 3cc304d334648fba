import ClusterModel
import FaceModel
import Replication
import StorageIO
import WriteAheadLog

/// What a copy's own files say of it: for an operator whose registers are lost, or no longer enough. Changes nothing, so
/// that it may run beside the copy's writer.
struct HeldCopyReader {
    /// What the node knows beside the files.
    enum Use {
        case open(ReplicaCondition.Role)
        /// It answers nothing, for this reason.
        case damaged(String)
        case closed
    }

    let files: any FileSystem

    /// Of the folder that holds the file `replica` and the log; nil where there is no copy.
    func copy(in folder: String, _ use: Use) throws(ReplicaError) -> HeldCopy? {
        guard let found = try ReplicaMemoryFile.contents(in: folder, on: files) else { return nil }
        let memory = found.memory
        var copy = HeldCopy(
            replica: found.replica, register: ShardRegister(found.shard, memory.register.configuration),
            revision: memory.register.revision, epoch: memory.epoch,
            condition: memory.isSuspect ? .suspect : .whole, end: .zero, endEpoch: Epoch(0))
        if case .open(let role) = use {
            (copy.end, copy.endEpoch, copy.committed) = (role.durable.index, role.durable.epoch, role.commit)
        } else {
            read(folder + "/wal", use, into: &copy)
        }
        return copy
    }

    private func read(_ log: String, _ use: Use, into copy: inout HeldCopy) {
        if case .damaged(let reason) = use { copy.condition = .unusable(reason: reason) }
        do throws(LogError) {
            let ending = try Log.ending(directory: log, on: files)
            (copy.end, copy.endEpoch) = (ending.lastIndex, ending.lastEpoch)
            switch (ending.tail, use) {
            case (.lost, _): copy.condition = .lossProven(from: ending.lastIndex.next)
            case (.torn, .closed): copy.condition = .suspect
            case (.torn, _), (.clean, _): break
            }
        } catch {
            copy.condition = .unusable(reason: error.sentence)
        }
    }
}
