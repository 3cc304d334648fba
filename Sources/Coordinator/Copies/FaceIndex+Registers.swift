import ClusterModel
import FaceModel

/// The registers of a collection's shards and their copies: written while its map is not `made`, or when a collection
/// is met that was made before there were any; removed with the map.
///
/// Every transaction that adds some also puts the map, unchanged: so none is added behind a map that is removed, and
/// whoever works at the same map by its old revision meets a conflict.
extension FaceIndex {
    /// How often a map is read again because somebody else works at it too.
    static var racesMax: Int { 16 }

    /// Shards whose registers fit into one transaction with a collection's two.
    static func shardsPerTransaction(copies: Int) -> Int { (RegisterTransaction.changesMax - 2) / (copies + 1) }

    /// Sees to it that every shard has its registers. The copies of a shard that is not made go where `places` says,
    /// else where there is room; a shard that is made without registers has one copy.
    func completeRegisters(
        of handle: CollectionHandle, at places: [ShardID: [NodeID]] = [:]
    ) async throws(CoordinatorError) -> CollectionHandle {
        var handle = handle
        var bare = try await shardsWithoutRegisters(handle.map)
        var races = 0
        while !bare.isEmpty {
            let copies = handle.map.made ? 1 : settings.replication.copies
            let some = bare.prefix(Self.shardsPerTransaction(copies: copies))
            let new = try await newCopies(of: some, made: handle.map.made, at: places)
            let outcome = try await commit(
                [.put(.map(handle.map), expecting: handle.mapRevision)] + new.flatMap(\.changes))
            if case .committed(let revision) = outcome {
                handle.mapRevision = revision
                bare.removeFirst(some.count)
                continue
            }
            races += 1
            guard races < Self.racesMax else { throw Self.contested(handle.map) }
            try await readMapAgain(&handle)
            bare = try await shardsWithoutRegisters(handle.map)
        }
        return handle
    }

    /// The map as it is now; it is an error when it is gone.
    func readMapAgain(_ handle: inout CollectionHandle) async throws(CoordinatorError) {
        guard let register = try await readFresh(.map(handle.map.collection)), case .map(let map) = register.value
        else { throw .collectionNotFound(handle.collection.name) }
        handle = try self.handle(handle.collection, map, revision: register.revision)
    }

    static func contested(_ map: CollectionMap) -> CoordinatorError {
        .controlPlane(
            .unavailable(reason: "\(RegisterKey.map(map.collection).path) keeps changing", outcomeUnknown: false))
    }

    private func shardsWithoutRegisters(
        _ map: CollectionMap
    ) async throws(CoordinatorError) -> [CollectionMap.Shard] {
        var bare: [CollectionMap.Shard] = []
        for shard in map.shards where try await readOrReadFresh(.shard(shard.id)) == nil { bare.append(shard) }
        return bare
    }

    private func newCopies(
        of shards: ArraySlice<CollectionMap.Shard>, made: Bool, at places: [ShardID: [NodeID]]
    ) async throws(CoordinatorError) -> [NewCopies] {
        if made { return shards.map { NewCopies(adopting: $0) } }
        var generator = SystemRandomNumberGenerator()
        var others: [[NodeID]] = []
        if shards.contains(where: { places[$0.id] == nil }) { others = try await self.places(for: shards.count) }
        return shards.enumerated().map { number, shard in
            NewCopies(
                of: shard.id, on: places[shard.id] ?? others[number], minInSync: settings.replication.minInSync,
                using: &generator)
        }
    }

    /// Where the copies of the map's shards are.
    func homes(of map: CollectionMap) async throws(CoordinatorError) -> [ShardHome] {
        var homes: [ShardHome] = []
        for shard in map.shards {
            let nodes = try await copies(of: shard.id)?.replicas.map(\.node) ?? []
            homes.append(ShardHome(shard: shard, nodes: nodes.isEmpty ? [shard.node] : Set(nodes)))
        }
        return homes
    }

    /// The registers of the map's shards and their copies as the store has them now.
    func registers(of map: CollectionMap) async throws(CoordinatorError) -> [RegisteredShard] {
        var found: [RegisteredShard] = []
        for shard in map.shards {
            var registered = RegisteredShard(shard: shard, registers: [])
            // Also copies that the shard's register does not name any more.
            var copies = Set(try await list(.replicas(shard.id)).map(\.value.key))
            if let register = try await readFresh(.shard(shard.id)), case .shard(let value) = register.value {
                registered.registers.append(register)
                copies.formUnion(value.named.map { .replica(shard.id, $0) })
            }
            if let split = try await readFresh(.split(shard.id)) { registered.registers.append(split) }
            for key in copies.sorted(by: { $0.path < $1.path }) {
                if let register = try await readFresh(key) { registered.registers.append(register) }
            }
            found.append(registered)
        }
        return found
    }

    /// Removes the registers of the shards, and the map with the last of them. False when one of them has changed.
    func removeRegisters(
        of shards: [RegisteredShard], _ map: CollectionMap, revision: Revision
    ) async throws(CoordinatorError) -> Bool {
        var left = shards.flatMap(\.registers).map { register in
            RegisterTransaction.Change.delete(register.value.key, expecting: register.revision)
        }
        left.append(.delete(.map(map.collection), expecting: revision))
        while !left.isEmpty {
            let some = left.prefix(RegisterTransaction.changesMax)
            guard case .committed = try await commit(Array(some)) else { return false }
            left.removeFirst(some.count)
        }
        return true
    }
}

/// A shard, its register and those of its copies.
struct RegisteredShard: Sendable {
    var shard: CollectionMap.Shard
    var registers: [Register]

    /// Where files of it may be. One without registers was made before there were any, or is gone.
    var home: ShardHome {
        let nodes = registers.compactMap { register -> NodeID? in
            if case .replica(let replica) = register.value { replica.node } else { nil }
        }
        return ShardHome(shard: shard, nodes: nodes.isEmpty ? [shard.node] : Set(nodes))
    }

    /// Of its halves, which its nodes may have files of where it is being split.
    var halves: [ShardHome] {
        registers.flatMap { register -> [ShardHome] in
            guard case .split(let split) = register.value else { return [] }
            return split.plan.halves.map {
                ShardHome(shard: .init(id: $0.shard, node: shard.node, roots: [$0.root]), nodes: home.nodes)
            }
        }
    }
}

/// A shard and the nodes that have, or may have, files of it.
struct ShardHome: Sendable {
    var shard: CollectionMap.Shard
    var nodes: Set<NodeID>
}
