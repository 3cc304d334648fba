import ClusterModel
import FaceModel
import Replication

/// Chooses who follows a primary that is suspected: asks the other members' nodes, and changes the register.
///
/// Any member may do so, several at a time too: `Election` names nobody who lacks a record that counts, and the register
/// takes one change of an epoch.
struct ElectionPoll: Sendable {
    enum Outcome: Sendable {
        /// The register as it stands now, changed by this poll or by somebody else.
        case register(RegisterState)
        case nobody(reason: String)
    }

    private static let patience = Duration.milliseconds(500)

    let shard: ShardID
    let own: ReplicaReport
    let surroundings: ReplicaSurroundings

    func run(after epoch: Epoch) async -> Outcome {
        let registers = surroundings.registers
        do throws(ControlPlaneError) {
            guard let state = try await registers.read(shard) else { return .nobody(reason: "it has no register") }
            guard state.configuration.epoch == epoch else { return .register(state) }
            let processes = try await registers.processes(of: shard)
            let reports = [own] + (await ask(state.configuration, processes))
            guard
                let new = Election.successor(
                    of: state.configuration, reports: reports, incarnations: processes.mapValues(\.incarnation))
            else {
                let members = state.configuration.isr.count
                return .nobody(reason: "\(reports.count) of \(members) members answered, none that may be chosen")
            }
            let chosen = Replication.RegisterTransaction.Joiner(
                replica: new.primary, incarnation: new.primaryIncarnation)
            let change = Replication.RegisterTransaction(expected: state.revision, new: new, joiners: [chosen])
            switch await registers.attempt(change, of: shard) {
            case .made(let revision): return .register(RegisterState(configuration: new, revision: revision))
            case .refused(let other): return .register(other)
            case .unknown: return .nobody(reason: "the control plane did not say whether the choice was taken")
            }
        } catch {
            return .nobody(reason: "the control plane cannot be read: \(error)")
        }
    }

    private func ask(
        _ configuration: ShardConfiguration, _ processes: [ReplicaID: ReplicaProcess]
    ) async -> [ReplicaReport] {
        let deadline = ContinuousClock.now + Self.patience
        return await withTaskGroup(of: ReplicaReport?.self) { group in
            for member in configuration.isr where member != own.replica {
                guard let process = processes[member] else { continue }
                group.addTask { [surroundings, shard] in
                    await surroundings.post.report(of: shard, on: process.node, deadline: deadline)
                }
            }
            return await group.reduce(into: []) { reports, report in
                if let report { reports.append(report) }
            }
        }
    }
}
