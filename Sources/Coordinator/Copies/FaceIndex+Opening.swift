import ClusterModel
import FaceModel
import Logging
import Synchronization

/// Which start of each node was told of all its copies.
final class NodeStarts: Sendable {
    private let told = Mutex<[NodeID: Timestamp]>([:])

    /// Those of `found` that are not told yet.
    func untold(_ found: [NodeID: Timestamp]) -> [NodeID: Timestamp] {
        told.withLock { told in found.filter { told[$0.key] != $0.value } }
    }

    func remember(_ starts: [NodeID: Timestamp]) { told.withLock { $0.merge(starts) { _, new in new } } }
}

/// A node keeps no keys: after its start a copy on it follows its primary only once a coordinator has opened it.
extension FaceIndex {
    private static var nodeProbe: Duration { .milliseconds(Limits.statusDeadlineMilliseconds) }

    /// Opens every copy on nodes that have started since they were last told of theirs, as far as they answer. To be
    /// called often: where no node has started it asks nobody.
    package func openCopies(within limit: Duration) async throws(CoordinatorError) {
        let untold = starts.untold(try await nodeStarts())
        guard !untold.isEmpty else { return }
        let answers = await statistics(ofNodes: Array(untold.keys), deadline: .now + Self.nodeProbe)
        let living = untold.filter { node, _ in if case .success? = answers[node] { true } else { false } }
        guard !living.isEmpty else { return }
        let scope = ownScope(limit)
        let unopened = Mutex<[NodeID: (count: Int, first: ShardError)]>([:])
        try await forEachCollection(scope) { handle in
            for (node, error) in await self.openCopies(of: handle, on: Set(living.keys), scope) {
                unopened.withLock { $0[node, default: (0, error)].count += 1 }
            }
        }
        let failed = unopened.withLock { $0 }
        for (node, failure) in failed.sorted(by: { $0.key.text < $1.key.text }) {
            log.warning(
                "copies on a node that has started are not open yet",
                metadata: [
                    "request": "\(scope.request)", "node": "\(node)", "copies": "\(failure.count)",
                    "reason": "\(failure.first.sentence)",
                ])
        }
        starts.remember(living.filter { failed[$0.key] == nil })
    }

    /// Embedded there is one node, which starts with this process.
    private func nodeStarts() async throws(CoordinatorError) -> [NodeID: Timestamp] {
        guard settings.placement == .registeredNodes else { return [.embedded: Timestamp(milliseconds: 0)] }
        var starts: [NodeID: Timestamp] = [:]
        for register in try await list(.nodes) {
            if case .node(let node) = register.value { starts[node.node] = node.started }
        }
        return starts
    }

    /// Each collection, with its shards made and their registers there; one that cannot be used is logged.
    private func forEachCollection(
        _ scope: CallScope, _ body: @escaping @Sendable (CollectionHandle) async -> Void
    ) async throws(CoordinatorError) {
        var names: [(CollectionName, TenantID)] = []
        for register in try await list(.allCollections) {
            guard case .collection(let collection) = register.value else { continue }
            names.append((collection.name, collection.tenant))
        }
        await forEach(names, atOnce: Limits.backgroundAsksMax) { name, tenant in
            do throws(CoordinatorError) {
                let handle = try await self.handle(name, tenant: tenant, scope)
                await body(try await self.completeRegisters(of: handle))
            } catch {
                self.log.error(
                    "a collection is unavailable",
                    metadata: [
                        "tenant": "\(tenant)", "collection": "\(name)", "error": "\(error)",
                        "request": "\(scope.request)",
                    ])
            }
        }
    }

    /// What could not be opened and may be soon. A copy that is damaged is logged, and its node is not asked again.
    private func openCopies(
        of handle: CollectionHandle, on nodes: Set<NodeID>, _ scope: CallScope
    ) async -> [(NodeID, ShardError)] {
        await withTaskGroup(of: [(NodeID, ShardError)].self) { group in
            for shard in handle.map.shards {
                group.addTask { await self.failures(toOpen: shard, in: handle, on: nodes, .existing, scope) }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }.filter { node, error in
            guard case .damaged = error else { return true }
            log.error(
                "a copy cannot be opened",
                metadata: [
                    "request": "\(scope.request)", "tenant": "\(handle.collection.tenant)",
                    "collection": "\(handle.collection.uid)", "node": "\(node)", "reason": "\(error.sentence)",
                ])
            return false
        }
    }

    /// Opens, or makes, every copy of the shard; fails with the first failure.
    func openCopies(
        of shard: CollectionMap.Shard, in handle: CollectionHandle, _ mode: OpenMode, _ scope: CallScope
    ) async throws(ShardError) {
        if let first = await failures(toOpen: shard, in: handle, on: nil, mode, scope).first { throw first.1 }
    }

    /// Opens the shard's copies on `nodes`, on all nodes without.
    private func failures(
        toOpen shard: CollectionMap.Shard, in handle: CollectionHandle, on nodes: Set<NodeID>?, _ mode: OpenMode,
        _ scope: CallScope
    ) async -> [(NodeID, ShardError)] {
        let copies: ShardCopies
        do throws(ShardError) {
            copies = try await registeredCopies(of: shard, in: handle)
        } catch {
            return [(shard.node, error)]
        }
        return await withTaskGroup(of: (NodeID, ShardError)?.self) { group in
            for replica in copies.replicas where nodes?.contains(replica.node) ?? true {
                group.addTask { await self.failure(toOpen: replica, of: shard, in: handle, mode, scope) }
            }
            return await group.reduce(into: []) { if let failure = $1 { $0.append(failure) } }
        }
    }

    private func failure(
        toOpen replica: ReplicaRegister, of shard: CollectionMap.Shard, in handle: CollectionHandle, _ mode: OpenMode,
        _ scope: CallScope
    ) async -> (NodeID, ShardError)? {
        var there = shard
        there.node = replica.node
        do throws(ShardError) {
            try await shards.open(handle.descriptor(of: shard, replica.replica), mode, scope.call(there))
            return nil
        } catch {
            return (replica.node, error)
        }
    }
}
