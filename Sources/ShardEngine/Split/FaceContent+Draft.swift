import ClusterModel
import Foundation

/// The halves' files are made ahead, while the shard takes writes, and brought up with what was written meanwhile: once
/// nothing may be written any more, only the last of it is left to do.
extension FaceContent {
    func draft(_ plan: SplitPlan) {
        guard split == nil else { return }
        if plan != drafting.plan { forgetDraft() }
        drafting.ask(plan)
    }

    func attendDraft(_ writer: ReplicaWriter<FaceContent>) {
        if drafting.isForgotten { forgetDraft() }
        if drafting.isOverfull {
            logger.warning(
                "more is written to a shard than its split can follow: it is begun anew",
                metadata: ["shard": "\(descriptor.shard)"])
            forgetDraft()
        }
        guard drafting.mayBegin, let plan = drafting.plan, split == nil, halving.isSettled, !repair.isNeeded,
            writer.failure == nil, !writer.isEnding, !writer.isReplaced
        else { return }
        guard !drafting.isMade else { return published.condition.setDraft(plan) }
        do throws(ReplicaError) {
            let draft = drafting.draft(of: plan)
            let job = try halvingJob(plan, .draft(writer.applied), over: draft, writer)
            if draft == nil {
                logger.notice("a shard is to be split", metadata: ["shard": "\(descriptor.shard)"])
            }
            drafting.begin(job, at: writer.applied)
            run(job, writer) { .drafted($0) }
        } catch {
            draftFailed(error, writer)
        }
    }

    func drafted(_ failure: ReplicaError?, _ writer: ReplicaWriter<FaceContent>) {
        guard drafting.end() else {
            // Another may have been asked for since: it begins anew.
            if drafting.plan == nil { removeDraft() }
            return
        }
        if let failure {
            if !writer.isEnding { draftFailed(failure, writer) }
        } else {
            published.condition.setHalves(.init(areMade: false))
        }
    }

    private func draftFailed(_ error: ReplicaError, _ writer: ReplicaWriter<FaceContent>) {
        drafting.fail()
        published.condition.setDraft(nil)
        published.condition.setHalves(.init(areMade: false, trouble: error.text))
        halvingFailed(error, writer)
        // The disk may be full, and the shard takes writes.
        removeDraft()
    }

    /// Nobody wants the shard split any more, or it is split otherwise.
    func forgetDraft() {
        guard drafting.plan != nil else { return }
        drafting.forget()
        published.condition.setDraft(nil)
        if !drafting.isRunning { removeDraft() }
    }

    private func removeDraft() {
        do throws(ReplicaError) {
            try copying.folder.removeDraft()
        } catch {
            logger.warning(
                "files that nobody needs any more were not removed: the next start does so",
                metadata: ["shard": "\(descriptor.shard)", "reason": "\(error.text)"])
        }
    }
}
