import FaceModel
import Replication

/// Elections made by a member's node, without a controller: it asks the other nodes, reads what the store knows, decides
/// and proposes. Several may do so at a time, on old knowledge.
extension World {
    /// A member's core suspects the primary of `epoch`.
    func beginElection(_ node: Int, of epoch: Epoch) {
        guard nodes[node].election == nil else { return }
        nodes[node].election = SimulatedElection(epoch: epoch)
        for other in nodes.indices {
            transmit(.askReport(of: other, for: node, life: nodes[node].life), from: node, to: other)
        }
        queue.add(.count(node, life: nodes[node].life), at: now + 60 + random.below(60))
    }

    func askReport(of node: Int, for asker: Int, _ life: Int) {
        guard nodes[node].up, nodes[node].stalledUntil <= now, let report = reportOf(node) else { return }
        transmit(.reported(report, to: asker, life: life), from: node, to: asker)
    }

    func reported(_ report: ReplicaReport, to node: Int, _ life: Int) {
        guard isAlive(node, life) else { return }
        nodes[node].election?.reports[report.replica] = report
    }

    /// Whoever has not reported by now does not.
    func count(_ node: Int, _ life: Int) {
        guard isAlive(node, life), !isStalled(node, .count(node, life: life)) else { return }
        nodes[node].counted = nodes[node].election
        nodes[node].election = nil
        request(.candidates, from: node)
    }

    func decideElection(_ node: Int, _ state: RegisterState, _ incarnations: [ReplicaID: Incarnation]) {
        guard let election = nodes[node].counted else { return }
        nodes[node].counted = nil
        // Another was sooner.
        guard state.configuration.epoch == election.epoch else { return step(node, .register(state)) }
        let successor = Election.successor(
            of: state.configuration, reports: election.reports.values.sorted { $0.replica < $1.replica },
            incarnations: incarnations, mutant: options.mutant)
        guard let successor else { return }
        let chosen = RegisterTransaction.Joiner(
            replica: successor.primary, incarnation: successor.primaryIncarnation)
        request(
            .propose(RegisterTransaction(expected: state.revision, new: successor, joiners: [chosen])), from: node)
    }
}
