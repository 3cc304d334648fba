import FaceModel

/// Who is in sync: shrink, expand, and replacement at the minimum.
extension ReplicaCore {
    mutating func changeMembers() {
        guard case .reigning(let reign) = role, reign.pending == nil else { return }
        let behind = reign.others.map(\.replica).filter { isToGo($0, reign) }
        let staying = configuration.isr.filter { !behind.contains($0) }
        let ready = reign.others.filter { canJoin($0, reign) && !behind.contains($0.replica) }
        if staying.count < configuration.isr.count {
            shrink(to: staying, ready: ready)
        } else {
            let missing = max(1, configuration.minISR - staying.count)
            if ready.count >= missing { join(Array(ready.prefix(missing)), to: staying) }
        }
    }

    /// A shard that would be left with too few waits for another to join.
    mutating func retire(_ replica: ReplicaID) {
        guard case .reigning(var reign) = role, replica != id else { return }
        if !reign.retired.contains(replica) { reign.retired.append(replica) }
        role = .reigning(reign)
        changeMembers()
    }

    /// A member that should have left is still one: there is nobody to take its place, or the store does not answer.
    func lacksMember(_ reign: Reign) -> Bool { configuration.isr.contains { $0 != id && isToGo($0, reign) } }

    /// Nothing can be acknowledged before a member is left out, and the store has long not answered: it may be this replica
    /// alone that does not reach it.
    func isHelpless(_ reign: Reign) -> Bool {
        guard let pending = reign.pending, lacksMember(reign), mutant != .beatsWithoutStore else { return false }
        return time.since(pending.since) > timing.suspicion
    }

    private func isToGo(_ replica: ReplicaID, _ reign: Reign) -> Bool {
        reign.retired.contains(replica)
            || reign.others.contains { $0.replica == replica && time.since($0.progressAt) > timing.progress }
    }

    private mutating func shrink(to staying: [ReplicaID], ready: [Progress]) {
        guard staying.count < configuration.minISR, mutant != .shrinkBelowMinimum else {
            return propose(staying, joiners: [])
        }
        let missing = configuration.minISR - staying.count
        if ready.count >= missing { join(Array(ready.prefix(missing)), to: staying) }
    }

    private mutating func join(_ others: [Progress], to staying: [ReplicaID]) {
        let joiners = others.compactMap { other in
            other.incarnation.map { RegisterTransaction.Joiner(replica: other.replica, incarnation: $0) }
        }
        propose(staying + others.map(\.replica), joiners: mutant == .ignoreJoinersIncarnation ? [] : joiners)
    }

    /// A learner that has answered in this epoch and holds all that is committed.
    private func canJoin(_ other: Progress, _ reign: Reign) -> Bool {
        guard configuration.learners.contains(other.replica), other.reconciled, other.incarnation != nil else {
            return false
        }
        if mutant == .expandWithoutCatchUp { return true }
        return other.match >= commit && other.match >= reign.barrier
    }

    /// The register names others than before.
    mutating func membersChanged() {
        guard case .reigning(var reign) = role else { return }
        let named = configuration.named.filter { $0 != id }
        reign.others = named.map { replica in
            reign.others.first { $0.replica == replica } ?? Progress(replica, next: log.last.next, time: time)
        }
        role = .reigning(reign)
    }

    mutating func retryTransaction() {
        guard case .reigning(var reign) = role, var pending = reign.pending,
            time.since(pending.sentAt) >= timing.transactionRetry
        else { return }
        pending.sentAt = time
        reign.pending = pending
        role = .reigning(reign)
        effects.append(.transact(pending.transaction))
    }
}
