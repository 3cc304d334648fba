import FaceModel
import Replication

/// What goes wrong.
extension World {
    func fault() {
        guard faultsOn else { return }
        queue.add(.fault, at: now + 100 + random.below(900))
        figures.faults += 1
        let kinds: [WorldOptions.Fault] = [
            .crash, .crash, .cut, .oneWayCut, .cutFromStore, .stall, .diskLoss, .rolledBackDisk, .rot, .powerCut,
            .restoredStore, .restoredStore, .split,
        ]
        let kind = kinds[random.below(kinds.count)]
        let node = random.below(nodes.count)
        if random.chance(350), now >= splitUntil { cuts = [] }
        guard has(kind) else { return }
        note("fault \(kind) at \(node)")
        digest.mix(WorldOptions.Fault.allCases.firstIndex(of: kind) ?? 0)
        switch kind {
        case .crash: crash(node)
        case .cut: for other in nodes.indices { cut(node, other, permille: 800) }
        case .oneWayCut: cuts.insert(node * 16 + random.below(nodes.count))
        case .cutFromStore: cut(node, Self.storeMachine, permille: 900)
        case .stall: nodes[node].stalledUntil = now + random.below(2_500)
        case .powerCut: for node in nodes.indices { crash(node) }
        case .restoredStore: restoreRegister()
        case .split: split()
        default: damage(node, kind)
        }
    }

    private func cut(_ one: Int, _ other: Int, permille: Int) {
        if random.chance(permille) { cuts.insert(one * 16 + other) }
        if random.chance(permille) { cuts.insert(other * 16 + one) }
    }

    /// Two halves, one of which has the store; long enough for it to choose a primary and to do without the other.
    private func split() {
        splitUntil = now + 1_000 + random.below(5_000)
        let side = nodes.indices.map { _ in random.chance(500) }
        let ends = nodes.indices.map { ($0, side[$0]) } + [(Self.storeMachine, random.chance(500))]
        for (one, left) in ends { for (other, right) in ends where left != right { cuts.insert(one * 16 + other) } }
    }

    /// The process is gone, and with it some of what was not synced.
    func crash(_ node: Int) {
        guard nodes[node].up else { return }
        figures.crashes += 1
        var disk = nodes[node].disk
        let kept = disk.durable + random.below(disk.records.count - disk.durable + 1)
        if kept < disk.records.count, has(.tornTail), random.chance(500) { disk.torn = true }
        disk.records.removeLast(disk.records.count - kept)
        disk.durable = min(disk.durable, kept)
        if random.chance(300) { nodes[node].backup = disk }
        nodes[node].disk = disk
        nodes[node].core = nil
        nodes[node].up = false
        nodes[node].life += 1
        nodes[node].values = [:]
        nodes[node].settled = [:]
        checker.crashed(node)
        endAsks(node)
        digest.mix(kept)
        note("node \(node) crashed, \(kept) records kept\(disk.torn ? ", torn" : "")")
        restart(node, in: 30 + random.below(1_800))
    }

    private func restart(_ node: Int, in delay: Int) {
        let life = nodes[node].life
        nodes[node].up = true
        queue.add(.boot(node, life: life), at: now + delay)
    }

    /// A disk that loses what was synced; only as long as the promise holds: the minimum - 1 of the in-sync set, and never
    /// the last of it (a rebuilt register names one).
    private func damage(_ node: Int, _ kind: WorldOptions.Fault) {
        guard nodes[node].up, mayLose(node) else { return }
        // Rot may be met by a process that runs; in a copy that is to become a member it would go unnoticed until it is one.
        let isMember = store.state.configuration.isr.contains(nodes[node].disk.replica)
        if kind != .rot || !isMember || random.chance(500) { crash(node) }
        figures.lostDisks += 1
        switch kind {
        case .rolledBackDisk:
            guard let backup = nodes[node].backup, backup.incarnation < nodes[node].disk.incarnation else { return }
            checker.holed.insert(backup.replica)
            nodes[node].disk = backup
        case .rot: rot(node)
        default: makeEmpty(node)
        }
    }

    /// The members of the in-sync set whose disks still hold what they acknowledged.
    func isIntact(_ replica: ReplicaID) -> Bool {
        nodes[Self.node(of: replica)].disk.replica == replica && !checker.holed.contains(replica)
            && !checker.rotten.contains(replica)
    }

    /// Copies that can confirm a register: a new primary hears from all but `minISR` - 1 of them, or waits for an operator.
    private func canConfirm(_ node: Int) -> Bool {
        let disk = nodes[node].disk
        guard let memory = disk.memory, isIntact(disk.replica) else { return false }
        return !memory.isNew && store.state.configuration.named.contains(disk.replica)
    }

    func isKnownNew(_ replica: ReplicaID) -> Bool {
        let disk = nodes[Self.node(of: replica)].disk
        return disk.replica == replica && disk.memory?.isNew ?? false
    }

    private func mayLose(_ node: Int) -> Bool {
        guard !isRestored else { return false }
        let confirming = nodes.indices.count { $0 != node && canConfirm($0) }
        let copies = max(options.copies, store.state.configuration.named.count { !isKnownNew($0) })
        let minimum = store.state.configuration.minISR
        guard !canConfirm(node) || confirming > copies - minimum else { return false }
        let members = counting
        let lost = members.count { !isIntact($0) }
        // Where none may be lost, none that will be a member soon.
        let counts = minimum == 1 ? store.state.configuration.named : members
        guard counts.contains(nodes[node].disk.replica) else { return true }
        let others = members.filter { Self.node(of: $0) != node }
        let allClean = others.allSatisfy { isIntact($0) ? !nodes[Self.node(of: $0)].disk.torn && isClean($0) : true }
        return lost < min(minimum, members.count) - 1 && allClean
    }

    /// Who may be named in sync next, too: a copy that has files of the halves.
    private var counting: [ReplicaID] {
        let members = store.state.configuration.isr
        return members + dividedCopies.filter { !members.contains($0) }
    }

    private func isClean(_ replica: ReplicaID) -> Bool { nodes[Self.node(of: replica)].core?.isClean ?? true }

    func endFaults() {
        note("faults end")
        faultsOn = false
        cuts = []
        if isRestored { rebuildRegister() }
        for node in nodes.indices { nodes[node].stalledUntil = min(nodes[node].stalledUntil, now) }
    }
}
