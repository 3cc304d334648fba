import ClusterModel
import FaceModel
import Replication
import SegmentStore

/// A replica's files at one moment, as its writer gives them: whatever it does next, they can be read.
struct ReplicaPin: Sendable {
    /// Segments and state hold every record as far as this, and none behind it.
    let end: LogPoint
    let runs: [LogOutline.Run]
    let manifest: [UInt8]
    let segments: [Segment]
    let state: StateSnapshot
}

/// What a shard's content keeps of copies: of others' that are made from its files, and of its own.
struct FaceCopying {
    let folder: ShardFolder
    /// Has this replica stopped, what was fetched put in its place, and that opened.
    let replace: @Sendable () -> Void
    /// Another copy is made from the files as they were here: the log keeps what is behind.
    var pinned: LogIndex?
    /// A copy is being fetched.
    var fetch: Task<Void, Never>?
}

extension FaceContent {
    /// Everything applied goes to segments first, as at any flush; nil where that cannot be now.
    func pin(_ writer: ReplicaWriter<FaceContent>) -> ReplicaPin? {
        let applied = writer.applied
        guard writer.failure == nil, !writer.isEnding, !writer.isReplaced, !repair.isNeeded,
            let epoch = writer.core.log.epoch(at: applied)
        else { return nil }
        do throws(ReplicaError) {
            if applied > store.flushedThrough { try flush(through: applied) }
            let (manifest, segments) = store.flushedFiles
            let state = try StateSnapshot(of: state)
            copying.pinned = applied
            return ReplicaPin(
                end: LogPoint(epoch: epoch, index: applied),
                runs: writer.core.log.runs.filter { $0.first <= applied }, manifest: manifest, segments: segments,
                state: state)
        } catch {
            maintenanceFailed(error, writer)
            return nil
        }
    }

    /// One fetch at a time.
    func fetchCopy(from source: ReplicaID, _ writer: ReplicaWriter<FaceContent>) {
        guard copying.fetch == nil, !writer.isReplaced, !writer.isEnding else { return }
        guard let process = writer.processes[source] else { return writer.findProcesses() }
        let fetch = CopyFetch(
            descriptor: descriptor, folder: copying.folder, node: process.node,
            source: writer.surroundings.copies, logger: logger)
        let inbox = writer.inbox
        copying.fetch = Task { _ = inbox.add(.errand(.fetched(await fetch.run()))) }
    }

    /// A copy of what is committed takes the place of files that nobody counts on beyond it. What else the log holds was
    /// never committed, or is in the copy. Where more was acknowledged meanwhile the log goes on.
    func fetched(_ end: LogPoint?, _ writer: ReplicaWriter<FaceContent>) {
        copying.fetch = nil
        guard let end, writer.failure == nil, !writer.isEnding,
            !writer.core.configuration.isr.contains(descriptor.replica), writer.core.promised <= end.index
        else { return }
        writer.isReplaced = true
        copying.replace()
    }
}
