import ClusterModel
package import FaceModel
import KeyHierarchy

extension FaceIndex {
    /// Makes an empty collection for the server's model, or for vectors a client brings (`own`).
    package func createCollection(
        _ name: CollectionName, tags: [String: String], own: OwnModel? = nil, in context: CallContext
    ) async throws(CoordinatorError) -> CollectionDescription {
        let existing = try await list(.collections(context.tenant))
        guard existing.count < Limits.collectionsPerTenantMax else {
            throw .collectionQuota(limit: Limits.collectionsPerTenantMax)
        }
        var generator = SystemRandomNumberGenerator()
        let uid = CollectionUID(.random(using: &generator).stamped(version: 4))
        let shard = ShardID(.random(using: &generator).stamped(version: 4))
        let path = RegisterKey.collection(context.tenant, name).path
        let key = CollectionKey.random(using: &generator)
        let collection = CollectionRegister(
            tenant: context.tenant, name: name, uid: uid, modelName: own?.name ?? model.name,
            modelVersion: own?.version ?? model.version, dimension: own?.dimension ?? model.dimension,
            sealedKey: masterKey.seal(key, register: path, using: &generator), tags: tags, created: now())
        let map = CollectionMap(collection: uid, version: 1, shards: [.init(id: shard, roots: [.root])])
        let outcome = try await commit([
            .put(.collection(collection), expecting: .absent), .put(.map(map), expecting: .absent),
        ])
        guard case .committed = outcome else { throw .collectionExists(name) }
        _ = try await handle(name, tenant: context.tenant)
        return CollectionDescription(collection, faceCount: 0)
    }

    package func describeCollection(
        _ name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> CollectionDescription {
        let handle = try await handle(name, tenant: context.tenant)
        var faces = 0
        for shard in handle.map.shards { faces += try await statistics(shard.id).faces }
        return CollectionDescription(handle.collection, faceCount: faces)
    }

    /// Collections in the order of their names; `limit` 1...`Limits.pageSizeMax`.
    package func listCollections(
        after token: String?, limit: Int, in context: CallContext
    ) async throws(CoordinatorError) -> CollectionPage {
        let pages = PageTokens(key: masterKey.pageKey, scope: "collections/\(context.tenant)")
        var start: String?
        if let token {
            guard let last = pages.open(token) else { throw .invalidPageToken }
            start = String(decoding: last, as: UTF8.self)
        }
        let all = try await list(.collections(context.tenant)).compactMap { register -> CollectionRegister? in
            if case .collection(let collection) = register.value { collection } else { nil }
        }
        let rest = all.filter { collection in start.map { collection.name.text > $0 } ?? true }
        let page = rest.prefix(limit)
        let next = rest.count > page.count ? page.last.map { pages.seal(Array($0.name.text.utf8)) } : nil
        return CollectionPage(
            collections: page.map { CollectionDescription($0, faceCount: 0) }, nextToken: next)
    }

    /// Removes the collection and all its faces. The registers go first; files that a crash leaves behind go at the
    /// next start, because the map stays until they are gone.
    package func deleteCollection(
        _ name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) {
        guard let register = try await read(.collection(context.tenant, name)),
            case .collection(let collection) = register.value
        else { throw .collectionNotFound(name) }
        let outcome = try await commit([
            .delete(.collection(context.tenant, name), expecting: register.revision)
        ])
        guard case .committed = outcome else { throw .collectionNotFound(name) }
        guard let map = try await read(.map(collection.uid)), case .map(let value) = map.value else { return }
        try await finishDeletion(value, revision: map.revision)
    }

    func finishDeletion(_ map: CollectionMap, revision: Revision) async throws(CoordinatorError) {
        for shard in map.shards {
            do throws(ShardError) { try await shards.drop(shard.id) } catch { throw .shard(error) }
        }
        cache.forget(map.collection, shards: map.shards.map(\.id))
        _ = try await commit([.delete(.map(map.collection), expecting: revision)])
    }

    func statistics(_ shard: ShardID) async throws(CoordinatorError) -> ShardStatistics {
        do throws(ShardError) { return try await shards.statistics(shard) } catch { throw .shard(error) }
    }
}

/// The model behind vectors that a client computes itself: no calibration, hence no similarity.
package struct OwnModel: Hashable, Sendable {
    package var name: String
    package var version: String
    package var dimension: Int
    package init(name: String, version: String, dimension: Int) {
        self.name = name
        self.version = version
        self.dimension = dimension
    }
}

extension CollectionDescription {
    init(_ register: CollectionRegister, faceCount: Int) {
        self.init(
            name: register.name, tenant: register.tenant, faceCount: faceCount,
            modelVersion: register.modelVersion, dimension: register.dimension, created: register.created)
    }
}
