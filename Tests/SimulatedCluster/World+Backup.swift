import FaceModel
import Replication

/// A store restored from a backup, and what an operator does about it.
extension World {
    /// The register names the members of some time ago; its revision goes on rising. Incarnations stay, and so does the
    /// epoch: a backup from before it would let an epoch be reigned in twice (docs/decisions/0018).
    func restoreRegister() {
        guard !isRestored, let saved = savedConfiguration, saved.epoch == store.state.configuration.epoch,
            saved.version < store.state.configuration.version
        else { return }
        (isRestored, wasRestored) = (true, true)
        newestBeforeBackup = store.state.configuration
        store.state = RegisterState(configuration: saved, revision: store.state.revision + 1)
        note("the register is restored to \(saved)")
        announceRegister()
        // Whoever knows better is away, or the restored register would not be believed for a moment.
        for node in nodes.indices where random.chance(350) { crash(node) }
        queue.add(.rebuild, at: now + 300 + random.below(3_000))
    }

    /// The operator's `control rebuild`: every node is stopped, and the register becomes the newest that any of them
    /// knows, in an epoch that none of them knows, with no process as its primary. In sync is only the member whose log
    /// reaches furthest: since the backup was put back, members may have been changed on the old register, and what was
    /// committed then need not be at those whom the newest one names.
    func rebuildRegister() {
        guard isRestored else { return }
        isRestored = false
        savedConfiguration = nil
        for node in nodes.indices { crash(node) }
        let memories = nodes.compactMap { isIntact($0.disk.replica) ? $0.disk.memory : nil }
        let known = memories.map(\.register.configuration)
        guard var newest = known.first, let epoch = memories.map(\.epoch).max() else { return }
        for other in known where other.isNewer(than: newest) { newest = other }
        guard let furthest = furthest(of: newest.isr) else { return }
        newest = newest.with(isr: [furthest])
        newest.epoch = epoch
        newest = newest.reign(of: furthest, as: Incarnation(0))
        store.state = RegisterState(configuration: newest, revision: store.state.revision + 1)
        newestBeforeBackup = nil
        note("the register is rebuilt as \(newest)")
        checkMembers("the rebuilding of the register")
    }

    /// Of those whose ends are not in doubt, if there are any.
    private func furthest(of members: [ReplicaID]) -> ReplicaID? {
        let disks = nodes.map(\.disk).filter { members.contains($0.replica) && isIntact($0.replica) }
        let clean = disks.filter { !$0.torn && !($0.memory?.isSuspect ?? false) }
        return (clean.isEmpty ? disks : clean).max { $0.outline.end < $1.outline.end }?.replica
    }
}
