import ClusterModel
import FaceModel
import Replication
import VectorSearch
import WriteAheadLog

/// What the log of a shard says while it is replaced by two.
extension ShardMachine {
    func decide(
        _ step: SplitChange, split: inout ShardSplitState?, batch: inout ShardBatch
    ) -> ProposalOutcome {
        let place = LogPoint(epoch: end.epoch, index: end.index.advanced(by: batch.entries.count + 1))
        switch (step, split) {
        case (.begin(let plan), nil):
            if let reason = refusal(of: plan) { return .splitRefused(reason: reason) }
            let begun = ShardSplitState(plan, end: place)
            batch.add(.shardSplit, ShardSplitRecord(plan: plan).payload, .shardSplit(begun))
            split = begun
        case (.begin(let plan), let begun?):
            guard begun.plan == plan else { return .splitRefused(reason: "it is being split into other shards") }
        case (.release, nil): return .splitRefused(reason: "it is not being split")
        case (.release, _):
            batch.add(.splitRelease, [], .splitReleased(at: place.index))
            split?.stage = .released
        case (.abort, nil): break
        case (.abort, _):
            batch.add(.splitAbort, [], .splitAborted(at: place.index))
            split = nil
        }
        return .stepped
    }

    /// Why the shard cannot be split so.
    func refusal(of plan: SplitPlan) -> String? {
        let root = tree.tree.roots[0]
        guard tree.tree.division(of: root) != nil else {
            return
                "its faces are one bucket still, which no line divides: from some \(BucketDivision.facesMax) faces on "
                + "they mostly are not"
        }
        guard plan.first.root == root, plan.second.root != root, plan.first.shard != plan.second.shard else {
            return "the plan of its split is not one of this shard"
        }
        return nil
    }
}

extension ShardBatch {
    fileprivate mutating func add(_ type: RecordType, _ payload: [UInt8], _ change: Change) {
        entries.append(LogEntry(type: type, token: .none, payload: payload))
        changes.append(change)
    }
}
