import ClusterModel
import FaceModel
import Logging

/// The end of a split: every copy of the halves is opened, and the shard's own files go, node after node.
extension FaceIndex {
    func remove(_ split: RegisteredSplit, _ scope: CallScope) async throws(CoordinatorError) -> SplitReport {
        var split = split
        var trouble: String?
        // Without it there are no halves either: its deletion has dropped them.
        let handle = try await collection(split.value.collection)
        for node in split.value.nodes {
            do throws(ShardError) {
                if let handle { try await openHalves(of: split.value, on: node, handle, scope) }
                try await shards.drop(call(split.value.shard, node, scope))
                split.value.nodes.removeAll { $0 == node }
            } catch {
                if try await readFresh(.node(node)) == nil {
                    log.warning(
                        "a node that has gone may hold files of a shard that was split",
                        metadata: ["shard": "\(split.value.shard)", "node": "\(node)"])
                    split.value.nodes.removeAll { $0 == node }
                } else {
                    trouble = "the shard's files are still on node \(node): it \(error.sentence)"
                }
            }
        }
        guard split.value.nodes.isEmpty else {
            _ = try await write(&split)
            return SplitReport(.removing, split.value, trouble: trouble)
        }
        _ = try await commit([.delete(.split(split.value.shard), expecting: split.revision)])
        return SplitReport(.done, split.value)
    }

    /// Files that the node made of a half it has by now; a copy that only learns begins empty.
    private func openHalves(
        of split: SplitRegister, on node: NodeID, _ handle: CollectionHandle, _ scope: CallScope
    ) async throws(ShardError) {
        for half in split.plan.halves {
            guard let shard = handle.map.shards.first(where: { $0.id == half.shard }) else { continue }
            let copies = try await registeredCopies(of: shard, in: handle)
            guard let copy = copies.replica(on: node) else { continue }
            let isLearner = copies.register.learners.contains(copy.replica)
            var there = shard
            there.node = node
            try await shards.open(
                handle.descriptor(of: shard, copy.replica), isLearner ? .joining : .existing,
                scope.within(.seconds(3)).call(there))
        }
    }

    private func call(_ shard: ShardID, _ node: NodeID, _ scope: CallScope) -> ShardCall {
        scope.within(.seconds(3)).call(CollectionMap.Shard(id: shard, node: node, roots: []))
    }
}
