import ClusterModel
import Coordinator
import FaceModel

/// What operators do where copies or registers are lost.
extension Operation {
    /// Has a shard go on with one copy. Without `AcceptLoss` only says what would be done; without `Copy` the one whose log
    /// reaches furthest is taken.
    static func recoverShard(_ call: Call) async throws(APIError) -> Answer {
        let shard: ShardID = try call.fields.required("Shard", try call.fields.id("Shard"))
        let copy: ReplicaID? = try call.fields.id("Copy")
        let accepts = try call.fields.flag("AcceptLoss") ?? false
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.recoverShard(shard, with: copy, accepts: accepts, in: call.context)
        }
        return Answer(Shapes.recovery(answer))
    }

    /// Makes registers of shards anew where copies know newer ones. With `DryRun` only says what would be done.
    static func rebuildRegisters(_ call: Call) async throws(APIError) -> Answer {
        guard call.context.tenant == .cluster else {
            throw APIError(
                .accessDenied,
                "Registers are made anew with a key of the operators' account, \(TenantID.cluster), because they are every "
                    + "account's.")
        }
        let lost: [NodeID] =
            try call.fields.names("Without", count: 0...Limits.backgroundAsksMax, allowed: "a node's name") ?? []
        let applies = !(try call.fields.flag("DryRun") ?? false)
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.rebuildRegisters(without: lost, applies: applies, in: call.context)
        }
        return Answer(Shapes.rebuild(answer))
    }
}
