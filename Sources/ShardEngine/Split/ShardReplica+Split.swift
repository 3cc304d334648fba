import ClusterModel
import FaceModel

extension ShardReplica {
    /// A step of the shard's split, and how far this copy is then.
    func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        switch step {
        case .look: break
        case .draft(let plan): return try draft(plan)
        case .begin(let plan): _ = try await write(.split(.begin(plan)), call)
        case .release: _ = try await write(.split(.release), call)
        case .abort: _ = try await write(.split(.abort), call)
        }
        return try splitProgress()
    }

    private func draft(_ plan: SplitPlan) throws(ShardError) -> SplitProgress {
        var progress = try splitProgress()
        guard progress.stage == .whole else { return progress }
        if let reason = ShardMachine(tree: published.current.tree).refusal(of: plan) {
            throw .writesRefused(descriptor.shard, reason: reason)
        }
        if let refusal = inbox.add(.errand(.draft(plan))) { throw refusal }
        progress.hasDraft = published.condition.draft == plan
        progress.trouble = published.condition.halves.trouble
        return progress
    }
}

extension PublishedReplica.View {
    /// With what is known of the halves' files.
    func splitProgress(_ halves: ReplicaCondition.Halves) -> SplitProgress {
        guard let split else { return SplitProgress(stage: .whole) }
        let stage: SplitProgress.Stage =
            switch split.stage {
            case .dividing: halves.areMade ? .divided : .dividing
            case .released: .released
            }
        let sides = tree.tree.division(of: tree.tree.roots[0])?.sides
        return SplitProgress(
            stage: stage, hasHalves: halves.areMade, plan: split.plan, end: split.end.index, epoch: split.end.epoch,
            sides: sides.map { .init(first: $0.first, second: $0.second) }, trouble: halves.trouble)
    }
}
