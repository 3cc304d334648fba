import ClusterModel
import FaceModel
import Foundation
import Logging
import Replication
import SegmentStore
import StorageIO

/// What a copy of a shard of faces keeps beside its log: who lives in it, by name (`state.sqlite`), the vectors, and the
/// tree of buckets; `ShardMachine` decides what its log says.
final class FaceContent: ReplicaContent {
    let descriptor: ShardDescriptor
    let keys: CollectionKeys
    let files: any FileSystem
    let store: ReplicaStore
    let state: ShardState
    let published: PublishedReplica
    let budget: MemoryBudget
    let logger: Logger
    /// Of buckets, at the applied index.
    var tree: DatedTree
    var merge: BackgroundMerge?
    var growth: BucketGrowth
    var copying: FaceCopying
    /// Of the shard, at the applied index.
    var split: ShardSplitState?
    var halving = Halving.idle
    var drafting = Drafting.idle
    var repair = SegmentRepair()
    /// Why the log is to be begun anew; nil where it is sound.
    var logFault: String?
    let rotMetrics = RotMetrics()
    /// Since when copies hold what they have not compared; nil where there is nothing.
    var uncomparedSince: ContinuousClock.Instant?
    /// Why one more face would be refused, as of the last batch.
    var enrolmentRefusal: String?

    init(
        _ descriptor: ShardDescriptor, keys: CollectionKeys, copying: FaceCopying, opened: OpenedFiles,
        published: PublishedReplica,
        budget: MemoryBudget, logger: Logger
    ) {
        self.descriptor = descriptor
        self.keys = keys
        self.copying = copying
        files = copying.folder.files
        self.published = published
        self.budget = budget
        self.logger = logger
        store = opened.store
        state = opened.state
        tree = opened.tree
        split = opened.split
        growth = BucketGrowth(rows: opened.snapshot.leafRows, tree: opened.tree.tree)
        for (segment, fault) in store.lostSegments.sorted(by: { $0.key < $1.key }) { found(fault, in: segment) }
    }

    func change(_ record: ReplicaRecord) throws(ReplicaError) -> Change? { try Change(record) }

    func apply(_ changes: [Change], through index: LogIndex) throws(ReplicaError) {
        let places = try applied(changes, through: index)
        for change in changes { try grow(change) }
        drafting.note(changes)
        owe(changes)
        try show(changes, places: places, at: index)
    }

    /// Divisions and maintenance.
    func attend(_ writer: ReplicaWriter<FaceContent>) {
        divideBuckets(writer)
        compareCopies(writer)
        attendSplit(writer)
        attendDraft(writer)
        if writer.isEnding {
            cancelWork()
        } else {
            maintain(writer)
            repairSegments(writer)
            renewLog(writer)
        }
    }

    func patience(_ writer: ReplicaWriter<FaceContent>) -> Int? {
        let division = owesDivision(writer) ? Limits.idleConfirmMilliseconds : nil
        return [
            division, patienceOfComparison(writer), patienceOfSplit, drafting.milliseconds, patienceOfRepair(writer),
        ].compactMap(\.self).min()
    }

    func receive(_ errand: FaceErrand, _ writer: ReplicaWriter<FaceContent>) {
        switch errand {
        case .mergeEnded: mergeEnded(writer)
        case .pin(let reply): reply(pin(writer))
        case .unpin: copying.pinned = nil
        case .fetched(let end): fetched(end, writer)
        case .draft(let plan): draft(plan)
        case .drafted(let failure): drafted(failure, writer)
        case .halved(let failure): halved(failure, writer)
        case .rotten(let segment, let fault): found(fault, in: segment)
        case .repaired(let end): repaired(end, writer)
        case .logRotten(let fault): found(logFault: fault)
        case .stateRotten(let error): ruined(error, writer)
        }
    }

    /// A merge and a fetch write below names that may be another shard's once this one is dropped.
    var isWorking: Bool {
        merge != nil || copying.fetch != nil || halving.isRunning || drafting.isRunning || repair.run != nil
    }

    private func cancelWork() {
        copying.fetch?.cancel()
        halving.cancel()
        drafting.cancel()
        repair.run?.cancel()
    }

    /// The next life of this copy would make the same files.
    func finish(_ writer: ReplicaWriter<FaceContent>) {
        cancelWork()
        halving.job?.awaitEnd()
        drafting.job?.awaitEnd()
        repair.run?.awaitEnd()
    }

    func close(_ error: ShardError) {
        published.close(error)
        do throws(ReplicaError) {
            try state.close()
        } catch {
            logger.warning("a shard's state was not closed", metadata: ["reason": "\(error.text)"])
        }
    }

    /// The tree of buckets after a change.
    private func grow(_ change: Change) throws(ReplicaError) {
        switch change {
        case .put, .delete, .checkpoint: break
        case .shardSplit, .splitReleased, .splitAborted: try follow(change)
        case .config(let config):
            let roots = config.roots.sorted()
            if roots != tree.tree.roots { tree = DatedTree(roots: roots) }
        case .split(let split, let place):
            guard tree.tree.accepts(split) else {
                throw .record(place, reason: "BucketSplit does not follow on the buckets there are")
            }
            tree.apply(split, at: place)
        }
    }

    /// In `state.sqlite`; a full disk is waited out.
    private func applied(
        _ changes: [Change], through index: LogIndex
    ) throws(ReplicaError) -> [FaceID: RowPlace] {
        while true {
            do throws(ReplicaError) {
                let places = try state.places(of: changes.deletedIDs)
                try state.apply(changes, through: index)
                published.condition.setWritesRefused(enrolmentRefusal)
                return places
            } catch {
                if case .diverged = error { published.condition.setDamaged(error.text) }
                guard case .state(_, _, full: true) = error else { throw error }
                published.condition.setWritesRefused(error.text)
                Thread.sleep(forTimeInterval: DiskSpace.pause)
            }
        }
    }

    private func show(
        _ changes: [Change], places: [FaceID: RowPlace], at index: LogIndex
    ) throws(ReplicaError) {
        for change in changes {
            switch change {
            case .put(let put): try store.buffer(put.row)
            case .delete(let delete): store.markDead(delete.id, at: places[delete.id])
            case .config, .split, .checkpoint, .shardSplit, .splitReleased, .splitAborted: break
            }
        }
        growth.count(changes)
        publish(at: index)
    }

    func publish(at index: LogIndex) {
        published.publish(.init(snapshot: store.snapshot, tree: tree, split: split, lsn: index))
    }
}

/// A write to a shard of faces and its caller, who is resumed exactly once.
struct WaitingRequest: ReplicaRequest {
    typealias Errand = FaceErrand

    var roots: [LeafID]
    var request: Proposal.Request
    /// Not begun after this.
    var deadline: ContinuousClock.Instant
    var resume: @Sendable (Result<ProposalOutcome, ShardError>) -> Void

    var estimatedBytes: Int { request.estimatedBytes }
    func refuse(_ error: ShardError) { resume(.failure(error)) }
}

/// What reaches a copy's content from beside its writer.
enum FaceErrand: ReplicaErrand {
    /// The background merge of a compaction.
    case mergeEnded
    /// The files as they are now are wanted for another copy; nil where they cannot be had.
    case pin(@Sendable (ReplicaPin?) -> Void)
    /// Nobody makes a copy of what was pinned any more.
    case unpin
    /// Files of the halves are to be made ahead.
    case draft(SplitPlan)
    /// That has come to an end for now; why, where it failed.
    case drafted(ReplicaError?)
    /// The making of the halves' files ended; why, where it failed.
    case halved(ReplicaError?)
    /// A segment's file is not what was written.
    case rotten(UInt64, SegmentError)
    case repaired(Result<RepairedSegment, ReplicaError>)
    /// A record of the log is not what was written; which.
    case logRotten(String)
    /// The rows of the state are not what was applied.
    case stateRotten(ReplicaError)
    /// A fetch of a copy ended: the files beside this copy's hold all as far as this; nil where it failed.
    case fetched(LogPoint?)

    func abandon() {
        if case .pin(let reply) = self { reply(nil) }
    }
}
