import FaceModel
import Replication

/// What a copy is built from: another's records, of which it keeps the epochs only, and what they made.
struct SimulatedCopy {
    let records: [SimulatedRecord]
    let table: FaceTable
}

/// Logs that lose their beginnings, and copies that are built from another's files.
extension World {
    /// What was applied need not stay in the log.
    func trim(_ node: Int) {
        guard let core = nodes[node].core, !core.isStopped else { return }
        let begin = nodes[node].applied + 1 - random.below(20)
        guard begin > nodes[node].disk.begin else { return }
        saveTable(node)
        nodes[node].disk.begin = begin
        forgetRot(node)
        step(node, .logBegins(LogIndex(UInt64(begin))))
    }

    /// What the source has applied, as it is now, comes some time later.
    func fetchCopy(_ node: Int, from source: ReplicaID) {
        let other = Self.node(of: source)
        guard !nodes[node].isFetching, nodes[other].disk.replica == source, nodes[other].core != nil,
            !cuts.contains(node * 16 + other), !cuts.contains(other * 16 + node), nodes[other].stalledUntil <= now
        else { return }
        nodes[node].isFetching = true
        let records = Array(nodes[other].disk.records.prefix(nodes[other].applied))
        var table = nodes[other].table
        if options.mistake == .builtCopyLacksFace { table.loseOneFace() }
        let copied = SimulatedCopy(records: records, table: table)
        queue.add(.fetched(copied, by: node, life: nodes[node].life), at: now + 20 + random.below(1_500))
    }

    /// The copy takes the place of what was there, if nobody counts on more, and its process goes on with it.
    func fetched(_ copied: SimulatedCopy, by node: Int, _ life: Int) {
        let records = copied.records
        guard isAlive(node, life), !isStalled(node, .fetched(copied, by: node, life: life)),
            let core = nodes[node].core, let memory = nodes[node].disk.memory
        else { return }
        nodes[node].isFetching = false
        let end = LogPoint(epoch: records.last?.epoch ?? Epoch(0), index: LogIndex(UInt64(records.count)))
        guard !core.isStopped, !core.configuration.isr.contains(core.id), core.promised <= end.index else { return }
        note("node \(node) is built anew, as far as \(records.count)")
        figures.builtCopies += 1
        // What the core before began ends nowhere.
        nodes[node].life += 1
        nodes[node].disk.records = records
        nodes[node].disk.durable = records.count
        nodes[node].disk.begin = records.count + 1
        forgetRot(node)
        endAsks(node)
        if nodes[node].disk.halves?.isReleased == false { nodes[node].disk.halves = nil }
        (nodes[node].disk.table, nodes[node].disk.saved) = (copied.table, records.count)
        checker.crashed(node)
        run(node, memory, .clean)
        planTick(node)
        queue.add(.duty(node, life: nodes[node].life), at: now + 1)
        request(.read, from: node)
    }
}
