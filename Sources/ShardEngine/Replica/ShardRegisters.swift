package import ClusterModel
package import FaceModel
package import Replication

/// Where a copy of a shard runs, and in which of its node's lives.
package struct ReplicaProcess: Hashable, Sendable {
    package var node: NodeID
    package var incarnation: Incarnation
    package init(node: NodeID, incarnation: Incarnation) {
        self.node = node
        self.incarnation = incarnation
    }
}

/// What a node's replicas ask of the control plane.
package protocol ShardRegisters: Sendable {
    /// The shard's register as it stands; nil when there is none.
    func read(_ shard: ShardID) async throws(ControlPlaneError) -> RegisterState?
    /// Never throws: where no answer came the outcome is unknown.
    func attempt(_ change: Replication.RegisterTransaction, of shard: ShardID) async -> Replication.TransactionOutcome
    /// Where the shard's copies run, as the control plane has it now.
    func processes(of shard: ShardID) async throws(ControlPlaneError) -> [ReplicaID: ReplicaProcess]
}

/// The registers in a control plane.
package struct ControlPlaneShards: ShardRegisters {
    private let controlPlane: any ControlPlane

    package init(_ controlPlane: any ControlPlane) { self.controlPlane = controlPlane }

    package func read(_ shard: ShardID) async throws(ControlPlaneError) -> RegisterState? {
        guard let register = try await controlPlane.readFresh(.shard(shard)),
            case .shard(let value) = register.value
        else { return nil }
        return RegisterState(value, register.revision)
    }

    package func attempt(
        _ change: Replication.RegisterTransaction, of shard: ShardID
    ) async -> Replication.TransactionOutcome {
        do throws(ControlPlaneError) {
            var changes: [ClusterModel.RegisterTransaction.Change] = [
                .put(.shard(ShardRegister(shard, change.new)), expecting: Revision(Int64(change.expected)))
            ]
            for joiner in change.joiners {
                guard let unchanged = try await guarding(joiner, of: shard) else {
                    return try await refused(shard)
                }
                changes.append(unchanged)
            }
            switch try await controlPlane.commit(ClusterModel.RegisterTransaction(changes)) {
            case .committed(let revision): return .made(revision: UInt64(revision.value))
            case .conflict, .leaseEnded: return try await refused(shard)
            }
        } catch {
            // What was refused for sure may be sent again like what was not.
            return .unknown
        }
    }

    package func processes(of shard: ShardID) async throws(ControlPlaneError) -> [ReplicaID: ReplicaProcess] {
        var found: [ReplicaID: ReplicaProcess] = [:]
        for register in try await controlPlane.list(.replicas(shard)) {
            guard case .replica(let replica) = register.value,
                case .incarnation(let life)? = try await controlPlane.readFresh(.incarnation(replica.node))?.value
            else { continue }
            found[replica.replica] = ReplicaProcess(node: replica.node, incarnation: life.incarnation)
        }
        return found
    }

    /// Nil when the joiner runs as another process than it did.
    private func guarding(
        _ joiner: Replication.RegisterTransaction.Joiner, of shard: ShardID
    ) async throws(ControlPlaneError) -> ClusterModel.RegisterTransaction.Change? {
        guard case .replica(let replica)? = try await controlPlane.read(.replica(shard, joiner.replica))?.value,
            let register = try await controlPlane.readFresh(.incarnation(replica.node)),
            case .incarnation(let life) = register.value, life.incarnation == joiner.incarnation
        else { return nil }
        return .unchanged(.incarnation(replica.node), expecting: register.revision)
    }

    private func refused(_ shard: ShardID) async throws(ControlPlaneError) -> Replication.TransactionOutcome {
        try await read(shard).map { .refused($0) } ?? .unknown
    }
}

extension RegisterState {
    package init(_ register: ShardRegister, _ revision: Revision) {
        self.init(
            configuration: ShardConfiguration(
                generation: register.generation, version: register.version, epoch: register.epoch,
                primary: register.primary, primaryIncarnation: register.primaryIncarnation, isr: register.inSync,
                learners: register.learners, minISR: register.minInSync),
            revision: UInt64(revision.value))
    }
}

extension ShardRegister {
    package init(_ shard: ShardID, _ configuration: ShardConfiguration) {
        self.init(
            shard: shard, generation: configuration.generation, version: configuration.version,
            epoch: configuration.epoch, primary: configuration.primary,
            primaryIncarnation: configuration.primaryIncarnation, inSync: configuration.isr,
            learners: configuration.learners, minInSync: configuration.minISR)
    }
}
