import ClusterModel
package import FaceModel
import Logging

/// How shards come and go. A collection's registers are written first and its map is removed last: whatever is cut
/// short in between is finished by whoever sees it next.
extension FaceIndex {
    /// Time that making a collection waits for a node to show that it lives.
    private static var nodeProbe: Duration { .milliseconds(Limits.statusDeadlineMilliseconds) }
    /// Time that a deletion, which has already happened for clients, waits for the nodes.
    private static var dropLimit: Duration { .seconds(5) }

    /// Nodes for the copies of each of so many new shards, the primary-to-be first.
    func places(for count: Int) async throws(CoordinatorError) -> [[NodeID]] {
        switch settings.placement {
        case .embedded:
            return [[NodeID]](repeating: [.embedded], count: count)
        case .registeredNodes:
            let copies = settings.replication.copies
            var placement = try await placement()
            guard placement.count > 0 else { throw .noNodes }
            guard placement.count >= copies else { throw .tooFewNodes(copies: copies, nodes: placement.count) }
            return placement.places(for: count, copies: copies)
        }
    }

    /// Among the nodes that answer now.
    func placement() async throws(CoordinatorError) -> ShardPlacement {
        let registers = try await list(.nodes).compactMap { register -> NodeRegister? in
            if case .node(let node) = register.value { node } else { nil }
        }
        let load = try await load()
        let answers = await statistics(ofNodes: registers.map(\.node), deadline: .now + Self.nodeProbe)
        let living = registers.filter { if case .success? = answers[$0.node] { true } else { false } }
        return ShardPlacement(among: living, copies: load.copies, firsts: load.firsts)
    }

    /// How many copies of all shards each node has, and of how many it is the primary.
    private func load() async throws(CoordinatorError) -> (copies: [NodeID: Int], firsts: [NodeID: Int]) {
        var (copies, firsts): ([NodeID: Int], [NodeID: Int]) = ([:], [:])
        let maps = try await list(.maps).compactMap { if case .map(let map) = $0.value { map } else { nil } }
        let ofFaces = Set(maps.flatMap(\.shards).map(\.id))
        var nodes: [ReplicaID: NodeID] = [:]
        for register in try await list(.allReplicas) {
            guard case .replica(let replica) = register.value, ofFaces.contains(replica.shard) else { continue }
            nodes[replica.replica] = replica.node
            copies[replica.node, default: 0] += 1
        }
        var registered: Set<ShardID> = []
        for register in try await list(.shards) {
            guard case .shard(let shard) = register.value else { continue }
            registered.insert(shard.shard)
            if let node = nodes[shard.primary] { firsts[node, default: 0] += 1 }
        }
        for map in maps {
            for shard in map.shards where !registered.contains(shard.id) {
                copies[shard.node, default: 0] += 1
                firsts[shard.node, default: 0] += 1
            }
        }
        return (copies, firsts)
    }

    /// Makes the shards of a collection just registered, or takes the registers back. Somebody else may have finished
    /// it meanwhile, and even enrolled into it: then it stays.
    func finishCreation(
        of collection: CollectionRegister, _ map: CollectionMap, _ revision: Revision, at places: [ShardID: [NodeID]],
        _ scope: CallScope
    ) async throws(CoordinatorError) {
        do throws(CoordinatorError) {
            // From what was just written: a mirror may not show it yet.
            _ = try await makeShards(of: handle(collection, map, revision: revision), scope, at: places)
        } catch {
            if try await withdraw(collection, revision, scope) { throw error }
        }
    }

    /// False when the collection is made after all. The put changes nothing: it makes the deletion depend on the map
    /// being as it was read, since whoever adds registers of shards puts it too.
    private func withdraw(
        _ collection: CollectionRegister, _ revision: Revision, _ scope: CallScope
    ) async throws(CoordinatorError) -> Bool {
        for _ in 0..<Self.racesMax {
            guard let register = try await readFresh(.map(collection.uid)), case .map(let map) = register.value
            else { return true }
            if map.made { return false }
            let outcome = try await commit([
                .delete(.collection(collection.tenant, collection.name), expecting: revision),
                .put(.map(map), expecting: register.revision),
            ])
            switch outcome {
            case .committed(let withdrawn):
                _ = try await finishDeletion(map, revision: withdrawn, scope)
                return true
            case .conflict(.map): continue
            // Deleted meanwhile.
            case .conflict, .leaseEnded: return true
            }
        }
        return true
    }

    /// Removes the collection and all its faces. For clients it is gone when its register is, which is first. Files on
    /// nodes that cannot be reached now go when they can: until then the map stays, and `finishDeletions` tries again.
    package func deleteCollection(
        _ name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) {
        guard let register = try await readOrReadFresh(.collection(context.tenant, name)),
            case .collection(let collection) = register.value
        else { throw .collectionNotFound(name) }
        let outcome = try await commit([
            .delete(.collection(context.tenant, name), expecting: register.revision)
        ])
        guard case .committed = outcome else { throw .collectionNotFound(name) }
        guard let map = try await readFresh(.map(collection.uid)), case .map(let value) = map.value else { return }
        _ = try await finishDeletion(value, revision: map.revision, context.scope)
    }

    /// Removes what deletions left behind; to be called now and then. Returns how many maps are left because a node
    /// did not answer.
    @discardableResult package func finishDeletions() async throws(CoordinatorError) -> Int {
        // Maps first: both registers of a collection are written at once, so a map without a collection that is read
        // later is what a deletion left.
        let maps = try await list(.maps)
        let living = Set(
            try await list(.allCollections).compactMap { register -> CollectionUID? in
                if case .collection(let collection) = register.value { collection.uid } else { nil }
            })
        var left = 0
        for register in maps {
            guard case .map(let map) = register.value, !living.contains(map.collection) else { continue }
            if try await !finishDeletion(map, revision: register.revision, ownScope(Self.dropLimit)) { left += 1 }
        }
        return left
    }

    /// True when the shards are gone everywhere, and their registers and the map with them; a map that changed
    /// meanwhile stays.
    private func finishDeletion(
        _ map: CollectionMap, revision: Revision, _ scope: CallScope
    ) async throws(CoordinatorError) -> Bool {
        cache.forget(map.collection)
        directories.forget(map.collection)
        // More than once only where copies choose another primary while they are removed.
        for _ in 0..<Self.racesMax {
            let found = try await registers(of: map)
            guard await drop(found.map(\.home), of: map, scope) else { return false }
            // Once no shard is left that its halves could come of.
            guard await drop(found.flatMap(\.halves), of: map, scope) else { return false }
            // Read behind the removal: nobody changes the register of a shard that has no copy.
            let registers = try await registers(of: map)
            if try await removeRegisters(of: registers, map, revision: revision) { return true }
            guard try await readFresh(.map(map.collection))?.revision == revision else { return false }
        }
        return false
    }

    /// Removes the files of every copy; false when a node did not do so.
    func drop(_ homes: [ShardHome], of map: CollectionMap, _ scope: CallScope) async -> Bool {
        let scope = scope.within(Self.dropLimit)
        let left = await withTaskGroup(of: MissingShard?.self) { group in
            for home in homes {
                for node in home.nodes { group.addTask { await self.drop(home.shard, on: node, scope) } }
            }
            return await group.reduce(into: [MissingShard]()) { if let missing = $1 { $0.append(missing) } }
        }
        for missing in left {
            log.warning(
                "a deleted collection's shard is still on its node",
                metadata: [
                    "request": "\(scope.request)", "collection": "\(map.collection)", "shard": "\(missing.shard)",
                    "node": "\(missing.node)", "reason": "\(missing.reason.sentence)",
                ])
        }
        return left.isEmpty
    }

    /// Nil when the shard is gone from the node.
    private func drop(_ shard: CollectionMap.Shard, on node: NodeID, _ scope: CallScope) async -> MissingShard? {
        var there = shard
        there.node = node
        do throws(ShardError) {
            try await shards.drop(scope.call(there))
            return nil
        } catch {
            return MissingShard(shard: shard.id, node: node, reason: error)
        }
    }

    /// What each node says of itself, all asked at once.
    func statistics(
        ofNodes nodes: [NodeID], deadline: ContinuousClock.Instant
    ) async -> [NodeID: Result<NodeStatistics, NodeError>] {
        await withTaskGroup(of: NodeAnswer.self) { group in
            for node in nodes {
                group.addTask { await self.statistics(ofNode: node, deadline: deadline) }
            }
            return await group.reduce(into: [:]) { $0[$1.node] = $1.statistics }
        }
    }

    private func statistics(ofNode node: NodeID, deadline: ContinuousClock.Instant) async -> NodeAnswer {
        do throws(NodeError) {
            let statistics = try await shards.statistics(ofNode: node, deadline: deadline)
            return NodeAnswer(node: node, statistics: .success(statistics))
        } catch {
            return NodeAnswer(node: node, statistics: .failure(error))
        }
    }
}

private struct NodeAnswer: Sendable {
    var node: NodeID
    var statistics: Result<NodeStatistics, NodeError>
}
