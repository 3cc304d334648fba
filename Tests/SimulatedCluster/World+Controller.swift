import FaceModel
import Replication

/// The controllers' part: they suspect, choose, and name the copies that should exist. Two may act on old knowledge.
extension World {
    func controller() {
        queue.add(.controller, at: now + 60 + random.below(80))
        let state = store.state
        guard !namesCopies(state), !options.membersElect else { return }
        guard isSuspected(state.configuration) else { return }
        let leases = store.reports.values.filter { now - $0.at < 2_000 }.map(\.report)
        let reports = leases.sorted { $0.replica < $1.replica }
        let successor = Election.successor(
            of: state.configuration, reports: reports, incarnations: store.incarnations, mutant: options.mutant)
        guard let successor else { return }
        let chosen = RegisterTransaction.Joiner(
            replica: successor.primary, incarnation: successor.primaryIncarnation)
        decide(RegisterTransaction(expected: state.revision, new: successor, joiners: [chosen]))
    }

    /// It takes a while until the store hears of it, and what happened meanwhile makes it fail.
    func decide(_ transaction: RegisterTransaction) {
        queue.add(.decided(transaction), at: now + 1 + random.below(has(.delay) ? 300 : 5))
    }

    private func isSuspected(_ configuration: ShardConfiguration) -> Bool {
        if configuration.epoch == Epoch(0) { return true }
        if has(.wrongSuspicion), random.chance(5) { return true }
        let primary = store.reports[configuration.primary]
        return store.suspected.contains(configuration.epoch) || primary.map { now - $0.at > 2_500 } ?? true
    }

    /// A new copy becomes a learner, and one that was emptied is no longer named; a member only where a clean one reigns,
    /// so that nobody is chosen without it whom it could have told of more.
    private func namesCopies(_ state: RegisterState) -> Bool {
        let configuration = state.configuration
        let live = store.reports.values.filter { now - $0.at < 2_000 }.map(\.report.replica)
        let newest = live.filter { replica in
            !live.contains { Self.node(of: $0) == Self.node(of: replica) && $0 > replica }
        }
        let unnamed = newest.filter { !configuration.named.contains($0) && isToStay($0) }
        let emptied = (reignsClean(configuration) ? configuration.named : configuration.learners).filter { old in
            old != configuration.primary
                && newest.contains { Self.node(of: $0) == Self.node(of: old) && $0 > old }
        }
        guard !unnamed.isEmpty || !emptied.isEmpty else { return false }
        let kept = configuration.without(emptied)
        let new = kept.with(learners: kept.learners + unnamed)
        decide(RegisterTransaction(expected: state.revision, new: new, joiners: []))
        return true
    }

    /// A copy that leaves is not named again, and one that the operator brings is named by him.
    private func isToStay(_ replica: ReplicaID) -> Bool {
        let node = Self.node(of: replica)
        return nodes[node].up && (move == nil || move?.old != node && move?.new != node)
    }

    private func reignsClean(_ configuration: ShardConfiguration) -> Bool {
        guard let report = store.reports[configuration.primary] else { return false }
        return now - report.at < 2_000 && report.report.isClean
            && report.report.incarnation == configuration.primaryIncarnation
    }
}
