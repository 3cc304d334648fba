import FaceModel
import Replication
import SegmentStore
import WriteAheadLog

/// A copy whose segment is rotten answers nothing, takes what is written, and stays in sync for its log, while the segment
/// is written anew: with what can be read of it, and with what the other copies have of the rest.
extension FaceContent {
    /// A reader, the scrub, a merge or a start met the rot.
    func found(_ fault: SegmentError, in segment: UInt64) {
        // What was merged away meanwhile is nobody's any more.
        guard store.names(segment) else { return published.condition.setSound(segment) }
        _ = published.condition.setRotten(segment, fault.sentence)
        guard repair.add(segment, fault) else { return }
        logger.error(
            "a segment is rotten: this copy answers nothing until it is repaired",
            metadata: ["shard": "\(descriptor.shard)", "reason": "\(fault.sentence)"])
        rotMetrics.found()
    }

    /// Another copy answers meanwhile.
    func handOver(_ writer: ReplicaWriter<FaceContent>) {
        guard writer.core.isPrimary, writer.core.configuration.isr.count > 1, !writer.isEnding, repair.handsOver()
        else {
            return
        }
        writer.elect(after: writer.core.epoch)
    }

    /// Milliseconds until a repair is to be tried; nil where none is, or none can be now.
    func patienceOfRepair(_ writer: ReplicaWriter<FaceContent>) -> Int? { canRepair(writer) ? repair.patience : nil }

    private func canRepair(_ writer: ReplicaWriter<FaceContent>) -> Bool {
        repair.isNeeded && merge == nil && writer.failure == nil && !writer.isEnding && !writer.isReplaced
    }

    func repairSegments(_ writer: ReplicaWriter<FaceContent>) {
        guard canRepair(writer) else { return }
        handOver(writer)
        guard let (segment, fault) = repair.next else { return }
        // A merge that was under way when the rot was found has read all it needed, or ended without it.
        guard store.names(segment) else {
            repair.end(segment)
            return published.condition.setSound(segment)
        }
        let others = writer.core.configuration.isr.filter { $0 != descriptor.replica }
        let nodes = others.compactMap { writer.processes[$0]?.node }
        guard nodes.count == others.count, let keys = keys.known else {
            writer.findProcesses()
            return repair.wait()
        }
        do throws(ReplicaError) {
            let fetch = RowFetch(
                of: descriptor.shard, dimension: descriptor.dimension, keys: keys, from: nodes,
                by: writer.surroundings.copies)
            let run = RepairRun(
                store.beginRepair(of: segment, for: fault), state: try StateSnapshot(of: state), fetch: fetch)
            repair.run = run
            let inbox = writer.inbox
            // A closed inbox means that the replica is stopping: the file goes at its next open.
            run.start { end in _ = inbox.add(.errand(.repaired(end))) }
        } catch {
            maintenanceFailed(error, writer)
        }
    }

    func repaired(
        _ end: Result<RepairedSegment, ReplicaError>, _ writer: ReplicaWriter<FaceContent>
    ) {
        guard let job = repair.run?.job else { return }
        repair.run = nil
        let repaired: RepairedSegment
        do throws(ReplicaError) {
            repaired = try end.get()
            // The new segment lacks faces that were deleted: no crash may take the state back to where they lived.
            try state.synchronize(on: files)
        } catch {
            return postponeRepair(job, error, writer)
        }
        do throws(ReplicaError) {
            try store.installRepaired(repaired.merged, for: job.rotten)
            try place(repaired.merged.segment)
        } catch {
            repair.wait()
            return maintenanceFailed(error, writer)
        }
        sound(job.rotten, repaired, writer)
    }

    private func sound(_ segment: UInt64, _ repaired: RepairedSegment, _ writer: ReplicaWriter<FaceContent>) {
        repair.end(segment)
        growth = BucketGrowth(rows: store.snapshot.leafRows, tree: tree.tree)
        publish(at: writer.applied)
        lockMemory()
        published.condition.setSound(segment)
        rotMetrics.repaired()
        logger.notice(
            "a rotten segment was repaired",
            metadata: [
                "shard": "\(descriptor.shard)", "faces": "\(repaired.merged.segment?.count ?? 0)",
                "from_other_copies": "\(repaired.supplied)",
            ])
    }

    /// What was written goes at once: a repair that is tried for long must not fill the disk.
    private func postponeRepair(_ job: RepairJob, _ error: ReplicaError, _ writer: ReplicaWriter<FaceContent>) {
        let isHopeless = writer.core.configuration.named.count < 2 && !error.passes
        let isNews = repair.postpone(error.text, isHopeless: isHopeless)
        do throws(ReplicaError) { try store.remove(job) } catch { maintenanceFailed(error, writer) }
        guard isNews else { return }
        logger.error(
            isHopeless
                ? "a rotten segment cannot be repaired: the shard has no other copy"
                : "a rotten segment is not repaired yet",
            metadata: ["shard": "\(descriptor.shard)", "reason": "\(error.text)"])
    }

    /// A record of the log no longer reads as it was written. All it says is applied: once segments and state hold that,
    /// the log goes on from here without it.
    func renewLog(_ writer: ReplicaWriter<FaceContent>) {
        guard let fault = logFault, writer.failure == nil, !writer.isEnding, !writer.isReplaced,
            writer.outstanding == nil, writer.applied == writer.core.log.last, copying.pinned == nil, split == nil
        else { return }
        // Whatever comes of it: where the disk is full, the next scrub finds it again within the minute.
        logFault = nil
        do throws(ReplicaError) {
            if writer.applied > store.flushedThrough { try flush(through: writer.applied) }
            try state.synchronize(on: files)
            do throws(LogError) { try writer.log.release() } catch { throw .log(error) }
            writer.step(.logBegins(writer.log.firstIndex))
            logger.notice(
                "a log was begun anew behind a rotten record",
                metadata: ["shard": "\(descriptor.shard)", "reason": "\(fault)"])
            rotMetrics.repaired()
        } catch {
            maintenanceFailed(error, writer)
        }
    }

    /// What the scrub found of the log.
    func found(logFault fault: String) {
        guard logFault == nil else { return }
        logFault = fault
        logger.error(
            "a record of a shard's log is rotten", metadata: ["shard": "\(descriptor.shard)", "reason": "\(fault)"])
        rotMetrics.found()
    }

    /// The rows of the state are not what was applied: no record may be built upon them. The copy leaves those in sync.
    func ruined(_ error: ReplicaError, _ writer: ReplicaWriter<FaceContent>) {
        rotMetrics.found()
        published.condition.setDamaged(error.text)
        writer.stop(error)
    }
}
