import ClusterModel
import FaceModel
import KeyHierarchy
import Logging
import VectorSearch

extension FaceIndex {
    /// The collection as the control plane has it now, with all its shards made; no older than the client's session.
    func handle(
        _ name: CollectionName, tenant: TenantID, _ scope: CallScope
    ) async throws(CoordinatorError) -> CollectionHandle {
        try await follow(scope.session, try await current(name, tenant: tenant, scope))
    }

    private func current(
        _ name: CollectionName, tenant: TenantID, _ scope: CallScope
    ) async throws(CoordinatorError) -> CollectionHandle {
        var path = ""
        // More than once only where the collection is deleted, and perhaps created again, while it is read.
        for _ in 0..<4 {
            guard case .collection(let collection)? = try await readOrReadFresh(.collection(tenant, name))?.value else {
                throw .collectionNotFound(name)
            }
            path = RegisterKey.map(collection.uid).path
            guard let register = try await readOrReadFresh(.map(collection.uid)), case .map(let map) = register.value
            else {
                continue
            }
            let handle = try handle(collection, map, revision: register.revision)
            return map.made ? handle : try await makeShards(of: handle, scope)
        }
        throw .controlPlane(.unreadable(path: path, reason: "the collection has no map that can be used"))
    }

    func handle(
        _ collection: CollectionRegister, _ map: CollectionMap, revision: Revision
    ) throws(CoordinatorError) -> CollectionHandle {
        guard let anchors = map.anchorCount else {
            throw .controlPlane(
                .unreadable(
                    path: RegisterKey.map(collection.uid).path, reason: "its subtree roots are not 0, 1, 2 and so on"))
        }
        return CollectionHandle(
            collection: collection, mapRevision: revision, map: map,
            secrets: try secrets(of: collection, anchorCount: anchors))
    }

    /// Makes the files of every copy of every shard, then says so in the map. `places`: the nodes of shards whose
    /// registers are not written yet.
    func makeShards(
        of handle: CollectionHandle, _ scope: CallScope, at places: [ShardID: [NodeID]] = [:]
    ) async throws(CoordinatorError) -> CollectionHandle {
        let complete = try await completeRegisters(of: handle, at: places)
        let homes = try await homes(of: complete.map)
        // Not asked again: a copy that cannot be made now is no reason to keep the client waiting.
        _ = try await self.complete(ShardAnswers<Void>(), from: complete, scope, againMax: 0) {
            (shard, _) async throws(ShardError) in
            try await self.openCopies(of: shard, in: complete, .making, scope)
        }
        return try await sayMade(complete, homes, scope)
    }

    private func sayMade(
        _ handle: CollectionHandle, _ homes: [ShardHome], _ scope: CallScope
    ) async throws(CoordinatorError) -> CollectionHandle {
        var made = handle
        for _ in 0..<Self.racesMax {
            made.map.made = true
            let outcome = try await commit([.put(.map(made.map), expecting: made.mapRevision)])
            if case .committed(let revision) = outcome {
                made.mapRevision = revision
                return made
            }
            guard let register = try await readFresh(.map(made.map.collection)), case .map(let map) = register.value
            else {
                // Deleted meanwhile, perhaps before the files were made.
                _ = await drop(homes, of: handle.map, scope)
                throw .collectionNotFound(handle.collection.name)
            }
            made = try self.handle(handle.collection, map, revision: register.revision)
            // By another coordinator.
            if map.made { return made }
        }
        throw Self.contested(handle.map)
    }

    private func secrets(
        of collection: CollectionRegister, anchorCount: Int
    ) throws(CoordinatorError) -> CollectionSecrets {
        if let secrets = cache.secrets(collection.uid), secrets.anchors.count == anchorCount { return secrets }
        let path = RegisterKey.collection(collection.tenant, collection.name).path
        let key: CollectionKey
        do throws(KeyError) {
            key = try masterKey.openCollectionKey(collection.sealedKey, register: path)
        } catch {
            throw .keyUnusable(what: "the key of collection \(collection.name) does not open with this key file")
        }
        do throws(VectorError) {
            let secrets = try CollectionSecrets(
                key: key, dimension: collection.dimension, anchorCount: anchorCount)
            cache.keep(secrets, for: collection.uid)
            return secrets
        } catch {
            throw .vector(index: 0, error)
        }
    }
}
