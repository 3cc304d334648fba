import ClusterModel
import FaceModel
import Foundation
import VectorSearch

/// What a copy does beside its writer for the split of its shard.
struct Halving {
    /// Between two attempts to make the halves' files.
    static let pause = Duration.seconds(2)

    fileprivate(set) var job: HalvingJob?
    /// What is to be done is done: the files are made, released or removed.
    fileprivate(set) var isSettled = false
    fileprivate var notBefore: ContinuousClock.Instant?

    static let idle = Halving()
    var isRunning: Bool { job != nil }
    func cancel() { job?.cancel() }
}

extension FaceContent {
    /// A record of the split was applied to the state.
    func follow(_ change: Change) throws(ReplicaError) {
        do {
            split = try split.following(change)
        } catch {
            throw .inconsistent(reason: "a record of a split that was not under way")
        }
        halving.isSettled = false
        // Given up and begun again in one go, it has files of the first time at most.
        if split?.stage != .released { published.condition.setHalves(.init(areMade: false)) }
        if split == nil { halving.cancel() }
    }

    /// Makes the files of the halves, makes shards of them, or removes them: what the split has come to.
    func attendSplit(_ writer: ReplicaWriter<FaceContent>) {
        guard !halving.isSettled, !halving.isRunning, !repair.isNeeded, writer.failure == nil, !writer.isEnding,
            !writer.isReplaced,
            halving.notBefore.map({ $0 <= .now }) ?? true
        else { return }
        if let split, drafting.plan != split.plan { forgetDraft() }
        // The last of a draft is soon there.
        guard !drafting.isRunning else { return }
        halving.notBefore = nil
        do throws(ReplicaError) {
            try settleSplit(writer)
        } catch {
            halvingFailed(error, writer)
            postponeSplit(error, writer)
        }
    }

    private func settleSplit(_ writer: ReplicaWriter<FaceContent>) throws(ReplicaError) {
        let folder = copying.folder
        guard let split else {
            try folder.removeHalves()
            return settled(made: false)
        }
        let (shards, end) = (split.plan.halves.map(\.shard), split.end.index)
        try folder.keepHalves(at: end)
        if split.stage == .released { try folder.releaseHalves(shards, at: end) }
        var made = true
        for shard in shards where try !folder.hasHalf(shard, at: end) { made = false }
        // Also once the shard was released: the copies that had files may be lost before it is published.
        guard !made else { return settled(made: true) }
        let draft = drafting.draft(of: split.plan)
        if draft == nil { try folder.removeDraft() }
        let job = try halvingJob(split.plan, .halves(split.end), over: draft, writer)
        drafting.forget()
        published.condition.setDraft(nil)
        logger.notice("a shard is being split", metadata: ["shard": "\(descriptor.shard)"])
        halving.job = job
        run(job, writer) { .halved($0) }
    }

    /// Of all that is applied.
    func halvingJob(
        _ plan: SplitPlan, _ aim: HalvingJob.Aim, over draft: HalvesDraft?, _ writer: ReplicaWriter<FaceContent>
    ) throws(ReplicaError) -> HalvingJob {
        if writer.applied > store.flushedThrough { try flush(through: writer.applied) }
        return HalvingJob(
            descriptor, plan, aim, over: draft, tree: tree.tree, segments: store.flushedFiles.segments,
            state: try StateSnapshot(of: state), in: copying.folder)
    }

    private func settled(made: Bool) {
        halving.isSettled = true
        published.condition.setHalves(.init(areMade: made))
    }

    func run(
        _ job: HalvingJob, _ writer: ReplicaWriter<FaceContent>,
        _ errand: @escaping @Sendable (ReplicaError?) -> FaceErrand
    ) {
        let inbox = writer.inbox
        let thread = Thread {
            var failure: ReplicaError?
            do throws(ReplicaError) { try job.run() } catch { failure = error }
            // A closed inbox means that the replica is stopping: what is there is found at its next open.
            _ = inbox.add(.errand(errand(failure)))
        }
        thread.name = "facet-split"
        thread.start()
    }

    func halved(_ failure: ReplicaError?, _ writer: ReplicaWriter<FaceContent>) {
        halving.job = nil
        guard let failure, split != nil, !writer.isEnding else { return }
        halvingFailed(failure, writer)
        postponeSplit(failure, writer)
    }

    /// Whatever it was, the shard is as it was, and answers: it is tried again, and an operator may give it up.
    func halvingFailed(_ error: ReplicaError, _ writer: ReplicaWriter<FaceContent>) {
        if case .segments(let fault) = error, let segment = fault.rottenSegment { found(fault, in: segment) }
        logger.warning(
            "the halves of a shard are not made yet",
            metadata: ["shard": "\(descriptor.shard)", "reason": "\(error.text)"])
    }

    private func postponeSplit(_ error: ReplicaError, _ writer: ReplicaWriter<FaceContent>) {
        published.condition.setHalves(.init(areMade: false, trouble: error.text))
        halving.notBefore = .now + Halving.pause
    }

    /// Milliseconds until it is tried again; nil where it is not.
    var patienceOfSplit: Int? {
        guard !halving.isSettled, !halving.isRunning, !repair.isNeeded else { return nil }
        return halving.notBefore.map { max(1, Int(ContinuousClock.now.duration(to: $0) / .milliseconds(1)) + 1) }
    }
}
