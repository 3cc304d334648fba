import ClusterModel
import FaceModel
import Replication

/// What a copy does for the split of its shard: it makes files of both halves once it has applied that the shard is being
/// split, and removes them where that was given up.
extension World {
    /// Whether it answers for the shard, as far as this copy knows.
    func owns(_ node: Int) -> Bool {
        options.mistake == .releaseUnheeded || !(nodes[node].table.split?.isReleased ?? false)
    }

    /// Whether the primary takes no writes: the split is applied, or under way.
    func isFrozen(_ node: Int) -> Bool {
        guard options.mistake != .freezeForgotten else { return false }
        return nodes[node].table.split != nil || !splitRecordsUnderWay(node).isEmpty
    }

    func splitRecordsUnderWay(_ node: Int) -> [SplitRecord] {
        nodes[node].values.values.joined().compactMap { SplitRecord($0) }
    }

    /// Does what the split has come to, as far as this copy has applied.
    func attendSplit(_ node: Int) {
        let end = nodes[node].disk.halves?.end
        guard let split = nodes[node].table.split else {
            if nodes[node].disk.halves != nil { nodes[node].disk.halves = nil }
            return
        }
        if end != split.end { nodes[node].disk.halves = nil }
        if split.isReleased { nodes[node].disk.halves?.isReleased = true }
        guard nodes[node].disk.halves == nil, nodes[node].halving != split.end, mayMakeHalves(split) else { return }
        nodes[node].halving = split.end
        // A start must not find the shard whole, or the files would go.
        saveTable(node)
        queue.add(.halved(node, life: nodes[node].life), at: now + 5 + random.below(random.chance(300) ? 2_000 : 200))
    }

    /// Also once it was released: the copies that had files may be lost before it is published.
    private func mayMakeHalves(_ split: SimulatedSplit) -> Bool {
        options.mistake != .releasedTooSoon || !split.isReleased
    }

    /// The files are made, all at once and durably, unless the process or the split ended before.
    func halved(_ node: Int, _ life: Int) {
        guard isAlive(node, life), !isStalled(node, .halved(node, life: life)), let end = nodes[node].halving,
            nodes[node].core?.isStopped == false
        else { return }
        nodes[node].halving = nil
        let table = nodes[node].table
        guard let split = table.split, split.end == end, mayMakeHalves(split) else { return attendSplit(node) }
        note("node \(node) has files of the halves by plan \(split.plan) at \(end)")
        nodes[node].disk.halves = SimulatedHalves(
            plan: split.plan, end: end, table: table, isReleased: split.isReleased)
        let replica = nodes[node].disk.replica
        if !dividedCopies.contains(replica) { dividedCopies.append(replica) }
    }

    /// How far the machine's copy is, as it has applied.
    func splitProgress(_ node: Int) -> SplitProgress {
        guard let split = nodes[node].table.split else { return SplitProgress(stage: .whole) }
        let hasHalves = nodes[node].disk.halves?.end == split.end
        return SplitProgress(
            stage: split.isReleased ? .released : hasHalves ? .divided : .dividing, hasHalves: hasHalves,
            plan: plans[split.plan - 1], end: split.end.index, epoch: split.end.epoch)
    }

    /// The halves took the shard's place: its copies go on until they are dropped, and nothing they say may count.
    func endAsSplit() {
        note("two halves take the shard's place")
        (isPublished, isBeingSplit) = (true, false)
        figures.splits += 1
        for node in nodes.indices { queue.add(.drop(node), at: now + 1 + random.below(3_000)) }
    }

    /// The machine has no files of the shard any more.
    func drop(_ node: Int) {
        (nodes[node].core, nodes[node].up) = (nil, false)
        nodes[node].life += 1
        checker.crashed(node)
        endAsks(node)
    }
}
