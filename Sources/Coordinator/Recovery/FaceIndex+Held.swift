import ClusterModel
import FaceModel

/// What nodes hold, and the registers of a shard that goes on with one copy of it.
extension FaceIndex {
    /// Each node's answer: the copies on its disk, of the shard or of all.
    func held(
        _ shard: ShardID?, on nodes: [NodeID], until deadline: ContinuousClock.Instant
    ) async -> [NodeID: Result<[HeldCopy], NodeError>] {
        await withTaskGroup(of: (NodeID, Result<[HeldCopy], NodeError>).self) { group in
            for node in nodes { group.addTask { (node, await self.held(shard, on: node, until: deadline)) } }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private func held(
        _ shard: ShardID?, on node: NodeID, until deadline: ContinuousClock.Instant
    ) async -> Result<[HeldCopy], NodeError> {
        do throws(NodeError) {
            return .success(try await shards.copies(ofNode: node, of: shard, deadline: deadline))
        } catch {
            return .failure(error)
        }
    }

    /// That may hold copies.
    func registeredNodes() async throws(CoordinatorError) -> [NodeID] {
        guard settings.placement == .registeredNodes else { return [.embedded] }
        return try await list(.nodes).compactMap { register -> NodeID? in
            if case .node(let node) = register.value { node.node } else { nil }
        }
    }

    /// A shard's registers as the store has them now.
    func remembered(_ shard: ShardID) async throws(CoordinatorError) -> RememberedShard {
        var found = RememberedShard(shard: nil, replicas: [])
        if let register = try await readFresh(.shard(shard)), case .shard(let value) = register.value {
            found.shard = (value, register.revision)
        }
        // The mirror's list tells names; what they say is read.
        for listed in try await list(.replicas(shard)) {
            guard let register = try await readFresh(listed.value.key), case .replica(let replica) = register.value
            else { continue }
            found.replicas.append(RegisteredCopy(value: replica, revision: register.revision))
        }
        return found
    }

    /// Has the shard go on with one copy: writes its register, and those of the copies that it names. False where
    /// somebody else changed one of them.
    func goOn(
        with register: ShardRegister, _ survivors: Survivors, _ remembered: RememberedShard
    ) async throws(CoordinatorError) -> Bool {
        var changes: [RegisterTransaction.Change] = [
            .put(.shard(register), expecting: remembered.shard?.revision ?? .absent)
        ]
        for name in register.named {
            guard let copy = survivors.held.first(where: { $0.copy.replica == name }) else { continue }
            let known = remembered.replicas.first { $0.value.replica == name }
            guard known?.value.node != copy.node else { continue }
            let value = ReplicaRegister(
                shard: register.shard, replica: name, node: copy.node, directory: Bits128(high: 0, low: 0),
                sealedKey: [])
            changes.append(.put(.replica(value), expecting: known?.revision ?? .absent))
        }
        for copy in remembered.replicas where !register.named.contains(copy.value.replica) {
            changes.append(.delete(copy.value.key, expecting: copy.revision))
        }
        if case .committed = try await commit(changes) { return true }
        return false
    }

    /// Those of the copies that are not open: a node that did not know of one cannot have opened it.
    func openHeld(
        _ register: ShardRegister, _ survivors: Survivors, in found: MovedShard, _ scope: CallScope
    ) async {
        guard let handle = found.handle else { return }
        await forEach(survivors.held, atOnce: Limits.backgroundAsksMax) { located in
            guard register.named.contains(located.copy.replica) else { return }
            var there = found.place
            there.node = located.node
            do throws(ShardError) {
                try await self.shards.open(
                    handle.descriptor(of: there, located.copy.replica), .existing, scope.call(there))
            } catch {
                self.log.warning(
                    "a copy is not open yet",
                    metadata: ["shard": "\(there.id)", "node": "\(there.node)", "reason": "\(error.sentence)"])
            }
        }
    }
}

/// A shard's registers; any of them may be missing.
struct RememberedShard: Sendable {
    var shard: (value: ShardRegister, revision: Revision)?
    var replicas: [RegisteredCopy]
}

extension ReplicaRegister {
    var key: RegisterKey { .replica(shard, replica) }
}
