import ClusterModel
import FaceModel

/// Where the copies of shards are, and how they are opened.
extension FaceIndex {
    /// The map with each shard's node as the registers say now: where it is asked. Never written back.
    func placed(_ map: CollectionMap) async -> CollectionMap {
        guard settings.placement == .registeredNodes else { return map }
        var placed = map
        for index in placed.shards.indices { placed.shards[index].node = await holder(of: map.shards[index]).node }
        return placed
    }

    /// From the mirror, hence at once. A shard whose registers do not say is where it was.
    func holder(of shard: CollectionMap.Shard) async -> ShardHolder {
        guard settings.placement == .registeredNodes else { return ShardHolder(node: shard.node, isOnlyCopy: true) }
        do throws(CoordinatorError) {
            guard case .shard(let register)? = try await readOrReadFresh(.shard(shard.id))?.value else {
                // Made before there were registers of copies, or split.
                return ShardHolder(node: shard.node, isOnlyCopy: true, isRegistered: false)
            }
            let primary = try await readOrReadFresh(.replica(shard.id, register.primary))
            guard case .replica(let replica)? = primary?.value else {
                return ShardHolder(node: shard.node, isOnlyCopy: false)
            }
            return ShardHolder(node: replica.node, isOnlyCopy: register.named.count == 1)
        } catch {
            return ShardHolder(node: shard.node, isOnlyCopy: false)
        }
    }

    /// The same with the nodes of the other copies that may decide by now.
    func holderAndOthers(of shard: CollectionMap.Shard) async -> ShardHolder {
        var holder = await holder(of: shard)
        guard !holder.isOnlyCopy else { return holder }
        do throws(CoordinatorError) {
            guard let copies = try await copies(of: shard.id) else { return holder }
            holder.others = copies.replicas.filter { copies.register.inSync.contains($0.replica) }.map(\.node)
            holder.others.removeAll { $0 == holder.node }
            return holder
        } catch {
            // Who decides is known all the same.
            return holder
        }
    }

    /// Nil where the shard has no register. Of copies whose own register is missing nothing is said.
    func copies(of shard: ShardID) async throws(CoordinatorError) -> ShardCopies? {
        guard case .shard(let register)? = try await readOrReadFresh(.shard(shard))?.value else { return nil }
        var copies = ShardCopies(register: register, replicas: [])
        for name in register.named {
            if case .replica(let replica)? = try await readOrReadFresh(.replica(shard, name))?.value {
                copies.replicas.append(replica)
            }
        }
        return copies
    }

    /// Opens the shard's copy on the node that is asked for it.
    func openHolder(
        of shard: CollectionMap.Shard, in handle: CollectionHandle, _ scope: CallScope
    ) async throws(ShardError) {
        let copies = try await registeredCopies(of: shard, in: handle)
        guard let replica = copies.replica(on: shard.node) else { throw .notPrimary(shard.id) }
        try await shards.open(handle.descriptor(of: shard, replica.replica), .existing, scope.call(shard))
    }

    /// The shard's copies; a shard that was made before there were registers of them gets its own. `wrongOwner` where the
    /// collection's map does not have the shard any more: others took its place.
    func registeredCopies(
        of shard: CollectionMap.Shard, in handle: CollectionHandle
    ) async throws(ShardError) -> ShardCopies {
        let found: ShardCopies?
        do throws(CoordinatorError) {
            found = try await copiesOrNewOnes(of: shard, in: handle)
        } catch {
            throw .unreachable(
                shard.id, node: shard.node, reason: "its registers cannot be used: \(error)", outcomeUnknown: false)
        }
        guard let found else { throw .wrongOwner(shard.id, owned: []) }
        return found
    }

    /// Nil where the shard is in the map no more.
    private func copiesOrNewOnes(
        of shard: CollectionMap.Shard, in handle: CollectionHandle
    ) async throws(CoordinatorError) -> ShardCopies? {
        if let copies = try await copies(of: shard.id) { return copies }
        var handle = handle
        try await readMapAgain(&handle)
        guard handle.map.shards.contains(where: { $0.id == shard.id }) else { return nil }
        _ = try await completeRegisters(of: handle)
        if let copies = try await copies(of: shard.id) { return copies }
        throw .controlPlane(.unreadable(path: RegisterKey.shard(shard.id).path, reason: "it is missing"))
    }
}
