import ClusterModel
package import FaceModel

/// How many copies a shard has, beside what is configured.
package struct ReplicatedShard: Hashable, Sendable {
    /// It has them, all in sync, and acknowledges only what as many of them have as is configured.
    package var isDone: Bool
    /// That it is to have, and that are in sync now.
    package var copies: Int
    package var inSync: Int
    /// By the shard's register as it stands.
    package var minInSync: Int
}

/// Shards that have fewer copies than are configured: of an embedded server that became a cluster, or made when fewer
/// were configured. Like a move it has no state of its own: each call does what the registers say is next.
extension FaceIndex {
    /// The next step of giving a shard its copies. A copy more is named at a time, and only when all that are named are in
    /// sync must more than before acknowledge: until then a copy that fails keeps nobody waiting. Of a shard that has more
    /// than is configured nothing is taken away.
    package func replicate(
        _ shard: ShardID, in context: CallContext
    ) async throws(CoordinatorError) -> ReplicatedShard {
        guard settings.placement == .registeredNodes else {
            throw .impossibleMove(reason: "This server is the only node there is")
        }
        let found = try await find(shard, context)
        guard try await readFresh(.split(shard)) == nil else {
            throw .impossibleMove(reason: "The shard is being split; its halves can be given copies when it is")
        }
        let copies = try await registered(shard)
        let wanted = found.handle == nil ? settings.ledger.replication : settings.replication
        let report = ReplicatedShard(
            isDone: false, copies: max(wanted.copies, copies.register.named.count),
            inSync: copies.register.inSync.count, minInSync: copies.register.minInSync)
        if copies.register.named.count < wanted.copies {
            try await addCopy(found, copies, context)
            return report
        }
        if !copies.register.learners.isEmpty {
            try await attendLearners(found, copies, context)
            return report
        }
        return try await raiseMinimum(copies, to: wanted.minInSync, report)
    }

    private func addCopy(
        _ shard: MovedShard, _ copies: RegisteredCopies, _ context: CallContext
    ) async throws(CoordinatorError) {
        let others = copies.replicas.map(\.value.node)
        let place: NodeID?
        if shard.handle == nil {
            place = settings.ledger.nodes.first { !others.contains($0) }
        } else {
            place = try await placement().place(beside: others, leaving: nil)
        }
        guard let place else {
            throw .impossibleMove(
                reason: "The shard has \(others.count) copies, more are configured, and of the nodes that may have one "
                    + "and answer each has one")
        }
        let move = CopyMove(
            shard: shard, copies: copies, old: place, new: place, scope: context.scope.within(Self.stepLimit))
        _ = try await name(move)
    }

    private func attendLearners(
        _ shard: MovedShard, _ copies: RegisteredCopies, _ context: CallContext
    ) async throws(CoordinatorError) {
        for copy in copies.replicas where copies.register.learners.contains(copy.value.replica) {
            let node = copy.value.node
            let move = CopyMove(
                shard: shard, copies: copies, old: node, new: node, scope: context.scope.within(Self.stepLimit))
            _ = try await goOn(move, copy)
        }
    }

    /// The version stays, as it does when a learner is named: no member changes. A primary that is about to leave one out
    /// finds another revision, and the new minimum with it.
    private func raiseMinimum(
        _ copies: RegisteredCopies, to minimum: Int, _ report: ReplicatedShard
    ) async throws(CoordinatorError) -> ReplicatedShard {
        var report = report
        report.isDone = true
        guard copies.register.minInSync < minimum else { return report }
        var register = copies.register
        register.minInSync = minimum
        guard case .committed = try await commit([.put(.shard(register), expecting: copies.revision)]) else {
            report.isDone = false
            return report
        }
        log.notice(
            "more copies of a shard must have a record before it is acknowledged",
            metadata: ["shard": "\(register.shard)", "min_in_sync": "\(minimum)"])
        report.minInSync = minimum
        return report
    }
}
