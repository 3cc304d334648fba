import ClusterModel
import FaceModel

/// Reads that need not see everything: any copy answers them.
extension FaceIndex {
    /// The handle by a map that knows every shard the session has seen. A split replaces shards by others that hold as much;
    /// a loss that an operator accepted ends the sessions that saw what is lost.
    func follow(
        _ session: ReadSession?, _ handle: CollectionHandle
    ) async throws(CoordinatorError) -> CollectionHandle {
        guard let session, let token = session.token else { return handle }
        guard token.collection == handle.collection.uid else { throw .session(.otherCollection) }
        var handle = handle
        if !Set(handle.map.shards.map(\.id)).isSuperset(of: token.positions.keys),
            let register = try await readFresh(.map(token.collection)), case .map(let map) = register.value
        {
            handle = try self.handle(handle.collection, map, revision: register.revision)
            session.keep(Set(map.shards.map(\.id)))
        }
        guard !session.isStrong else { return handle }
        for (shard, position) in token.positions {
            guard case .shard(let register)? = try await readOrReadFresh(.shard(shard))?.value else { continue }
            guard register.generation <= position.generation else { throw .session(.beforeLoss(shard)) }
        }
        return handle
    }

    /// Each shard at one of its copies in sync, another one each time.
    func spread(_ map: CollectionMap) async -> CollectionMap {
        guard settings.placement == .registeredNodes else { return map }
        var spread = map
        for index in spread.shards.indices {
            let nodes = await nodesInSync(of: spread.shards[index])
            if let node = nodes.randomElement() { spread.shards[index].node = node }
        }
        return spread
    }

    /// The copy after the one that was asked.
    func nextCopy(of shard: CollectionMap.Shard) async -> ShardHolder {
        let nodes = await nodesInSync(of: shard)
        guard let next = nodes.first(where: { $0.text > shard.node.text }) ?? nodes.first else {
            return await holder(of: shard)
        }
        return ShardHolder(node: next, isOnlyCopy: nodes.count == 1)
    }

    /// In the order of their names; none where the registers do not say.
    private func nodesInSync(of shard: CollectionMap.Shard) async -> [NodeID] {
        let holder = await holderAndOthers(of: shard)
        return ([holder.node] + holder.others).sorted { $0.text < $1.text }
    }
}
