import FaceModel
import Replication

/// A copy on its way from one machine to another.
struct SimulatedMove: Hashable {
    let old: Int
    let new: Int
}

/// An operator who moves copies, as decision 0024 says: a new copy is named and learns, joins, the old one is asked to
/// leave, is no longer named, and its files are removed. Nothing is remembered between two steps but which copy is to go
/// where; each looks at the register and does what is next.
extension World {
    func moveStep() {
        queue.add(.moveStep, at: now + 100 + random.below(200))
        let state = store.state
        // Who has just put a backup back moves nothing before the register is put right, and a shard that is being split stays
        // where it is.
        guard !isRestored, !isBeingSplit else { return }
        if forgetsVacant(state) { return }
        guard let move else { return beginMove() }
        guard let new = name(at: move.new, in: state.configuration) else { return join(move.new, state) }
        guard state.configuration.isr.contains(new) else { return }
        guard let old = name(at: move.old, in: state.configuration) else { return endMove(move) }
        if state.configuration.isr.contains(old) { return leave(old, at: move.old, state.configuration) }
        if staysWhole(without: old, state.configuration) { remove([old], state) }
    }

    /// As `facectl shard replicate` does at its end: by a transaction that changes no member.
    func raiseMinimum() {
        queue.add(.raiseMinimum, at: now + 100 + random.below(300))
        let state = store.state
        var new = state.configuration
        guard !isRestored, new.minISR < options.minISR, new.learners.isEmpty, new.isr.count >= options.copies else {
            return
        }
        new.minISR = options.minISR
        note("the minimum is to be \(new.minISR)")
        decide(RegisterTransaction(expected: state.revision, new: new, joiners: []))
    }

    /// The machine's copy as the register names it.
    private func name(at node: Int, in configuration: ShardConfiguration) -> ReplicaID? {
        let replica = nodes[node].disk.replica
        return configuration.named.contains(replica) ? replica : nil
    }

    private func beginMove() {
        guard faultsOn, random.chance(150), let new = nodes.indices.first(where: { !nodes[$0].up }) else { return }
        let others = nodes.indices.filter { $0 != new && name(at: $0, in: store.state.configuration) != nil }
        guard !others.isEmpty else { return }
        let move = SimulatedMove(old: others[random.below(others.count)], new: new)
        note("a copy is to move from node \(move.old) to node \(new)")
        self.move = move
        makeEmpty(new)
        nodes[new].up = true
        queue.add(.boot(new, life: nodes[new].life), at: now + 1 + random.below(300))
    }

    /// Under the name that the machine's copy has now: it may have lost its disk since it was named.
    private func join(_ node: Int, _ state: RegisterState) {
        let kept = state.configuration
        let others = kept.learners.filter { Self.node(of: $0) != node }
        decide(
            RegisterTransaction(
                expected: state.revision, new: kept.with(learners: others + [nodes[node].disk.replica]), joiners: []))
    }

    /// Asks the primary; one that is to leave itself has another elected first.
    private func leave(_ old: ReplicaID, at node: Int, _ configuration: ShardConfiguration) {
        let primary = Self.node(of: configuration.primary)
        guard nodes[primary].up, nodes[primary].stalledUntil <= now, nodes[primary].core != nil else { return }
        guard configuration.primary == old else { return step(primary, .retire(old)) }
        if options.membersElect {
            beginElection(primary, of: configuration.epoch)
        } else {
            request(.suspect(configuration.epoch), from: primary)
        }
    }

    /// As many as there should be stay named, of those that can confirm a register: a new one cannot.
    private func staysWhole(without old: ReplicaID, _ configuration: ShardConfiguration) -> Bool {
        configuration.named.count { $0 != old && !isKnownNew($0) } >= options.copies
    }

    /// Never one that counts.
    private func remove(_ replicas: [ReplicaID], _ state: RegisterState) {
        let kept = state.configuration
        decide(
            RegisterTransaction(
                expected: state.revision, new: kept.with(learners: kept.learners.filter { !replicas.contains($0) }),
                joiners: []))
    }

    /// A register that was restored names a copy whose files are gone since.
    private func forgetsVacant(_ state: RegisterState) -> Bool {
        let vacant = state.configuration.learners.filter { !nodes[Self.node(of: $0)].up }
        if !vacant.isEmpty { remove(vacant, state) }
        return !vacant.isEmpty
    }

    private func endMove(_ move: SimulatedMove) {
        note("the copy of node \(move.old) is gone")
        figures.moves += 1
        self.move = nil
        vacate(move.old)
    }

    /// The files go, and the machine has no copy until it gets another.
    private func vacate(_ node: Int) {
        if store.state.configuration.isr.contains(nodes[node].disk.replica) {
            fail("S5 the files of a member are removed at node \(node)")
        }
        nodes[node].core = nil
        nodes[node].up = false
        nodes[node].life += 1
        nodes[node].values = [:]
        nodes[node].settled = [:]
        checker.crashed(node)
        endAsks(node)
        makeEmpty(node)
    }
}
