import FaceModel
import Foundation
import SegmentStore
import WriteAheadLog

/// A compaction's merge on a thread of its own; the writer goes on meanwhile.
// Safe because `result` is written by the merge thread before it posts `mergeEnded` and read by the writer after.
final class BackgroundMerge: @unchecked Sendable {
    let job: CompactionJob
    var result: Result<MergedSegment, SegmentError>?

    init(_ job: CompactionJob) { self.job = job }
}

extension FaceContent {
    /// Between batches: a full buffer becomes a segment, the log is cut, small or mostly dead segments are merged.
    func maintain(_ writer: ReplicaWriter<FaceContent>) {
        do throws(ReplicaError) {
            if store.needsFlush {
                try flush(through: writer.applied)
                try cutLog(writer)
            }
        } catch {
            return maintenanceFailed(error, writer)
        }
        startMerge(writer)
    }

    /// Makes segments and state hold all that is applied, which is as far as `index`.
    func flush(through index: LogIndex) throws(ReplicaError) {
        try place(try store.flush(through: index, tree: tree.tree))
        publish(at: index)
        lockMemory()
        growth.resumePostponed()
    }

    /// The manifest already says so; nothing else may happen before `state.sqlite` does. A full disk is waited out.
    func place(_ segment: Segment?) throws(ReplicaError) {
        while true {
            do throws(ReplicaError) {
                return try state.place(segment?.ids ?? [], inSegment: segment?.number ?? 0, of: store.segmentNumbers)
            } catch {
                guard case .state(_, _, full: true) = error else { throw error }
                published.condition.setWritesRefused(error.text)
                Thread.sleep(forTimeInterval: DiskSpace.pause)
            }
        }
    }

    /// A segment that has come and cannot be locked is searched as well, only not as surely as fast.
    func lockMemory() {
        guard let refusal = published.lockMemory() else { return }
        logger.error("a segment may be swapped out", metadata: ["reason": "\(refusal)"])
    }

    /// The log keeps what either the segments or the synced state lack, and what copies may still ask for.
    private func cutLog(_ writer: ReplicaWriter<FaceContent>) throws(ReplicaError) {
        try state.synchronize(on: files)
        var index = min(store.flushedThrough, writer.applied)
        if writer.core.configuration.named.count > 1 {
            index = LogIndex(index.value - min(index.value, writer.surroundings.recordsKeptForCopies))
        }
        if let pinned = copying.pinned { index = min(index, pinned) }
        do throws(LogError) {
            try writer.log.truncate(before: index.next)
        } catch {
            throw .log(error)
        }
        writer.step(.logBegins(writer.log.firstIndex))
    }

    private func startMerge(_ writer: ReplicaWriter<FaceContent>) {
        guard merge == nil, !repair.isNeeded, let job = store.beginMerge(tree: tree.tree) else { return }
        let merge = BackgroundMerge(job)
        self.merge = merge
        let inbox = writer.inbox
        let thread = Thread {
            do throws(SegmentError) {
                merge.result = .success(try job.merge())
            } catch {
                merge.result = .failure(error)
            }
            // A closed inbox means that the replica is stopping: the file goes at its next open.
            _ = inbox.add(.errand(.mergeEnded))
        }
        thread.name = "facet-merge"
        thread.start()
    }

    func mergeEnded(_ writer: ReplicaWriter<FaceContent>) {
        guard let merge, let result = merge.result else { return }
        self.merge = nil
        do throws(ReplicaError) {
            switch result {
            case .failure(let error):
                store.abandon(merge.job)
                throw .segments(error)
            case .success(let merged):
                try synchronizeState(before: merge.job)
                try store.install(merged)
                try place(merged.segment)
                publish(at: writer.applied)
                lockMemory()
                growth.resumePostponed()
                // What became due meanwhile does not wait for the next write.
                if !writer.isEnding { startMerge(writer) }
            }
        } catch {
            maintenanceFailed(error, writer)
        }
    }

    /// A merged segment lacks the rows of deleted faces: no crash may take the state back to where they lived.
    private func synchronizeState(before job: CompactionJob) throws(ReplicaError) {
        do throws(ReplicaError) {
            try state.synchronize(on: files)
        } catch {
            store.abandon(job)
            throw error
        }
    }

    /// A full disk passes, and a rotten segment is repaired; anything else leaves files that must not be built upon.
    func maintenanceFailed(_ error: ReplicaError, _ writer: ReplicaWriter<FaceContent>) {
        if case .segments(let fault) = error, let segment = fault.rottenSegment, store.names(segment) {
            return found(fault, in: segment)
        }
        guard error.passes else { return writer.stop(error) }
        logger.warning("maintenance waits", metadata: ["reason": "\(error.text)"])
        published.condition.setWritesRefused(error.text)
    }
}
