import ClusterModel
package import FaceModel
import KeyHierarchy

extension FaceIndex {
    /// Makes an empty collection for the server's model, or for vectors a client brings (`own`), of so many shards
    /// (1...`Limits.shardsPerCollectionMax`; else as the settings say). A collection whose shards cannot be made is
    /// withdrawn.
    package func createCollection(
        _ name: CollectionName, tags: [String: String], own: OwnModel? = nil, shards: Int? = nil,
        in context: CallContext
    ) async throws(CoordinatorError) -> CollectionDescription {
        var generator = SystemRandomNumberGenerator()
        return try await createCollection(
            name, tags: tags, own: own, shards: shards ?? settings.shardsPerCollection,
            key: .random(using: &generator), in: context)
    }

    func createCollection(
        _ name: CollectionName, tags: [String: String], own: OwnModel?, shards: Int, key: CollectionKey,
        in context: CallContext
    ) async throws(CoordinatorError) -> CollectionDescription {
        guard (1...Limits.shardsPerCollectionMax).contains(shards) else {
            throw .shardCount(asked: shards, max: Limits.shardsPerCollectionMax)
        }
        guard try await list(.collections(context.tenant)).count < Limits.collectionsPerTenantMax else {
            throw .collectionQuota(limit: Limits.collectionsPerTenantMax)
        }
        var generator = SystemRandomNumberGenerator()
        let path = RegisterKey.collection(context.tenant, name).path
        let collection = CollectionRegister(
            tenant: context.tenant, name: name,
            uid: CollectionUID(.random(using: &generator).stamped(version: 4)),
            modelName: own?.name ?? model.name, modelVersion: own?.version ?? model.version,
            dimension: own?.dimension ?? model.dimension,
            sealedKey: masterKey.seal(key, register: path, using: &generator), tags: tags, created: now())
        let places = try await places(for: shards)
        let map = CollectionMap(
            collection: collection.uid, version: 1, made: false,
            shards: places.enumerated().map { number, nodes in
                .init(
                    id: ShardID(.random(using: &generator).stamped(version: 4)), node: nodes[0],
                    roots: [LeafID(UInt32(number))])
            })
        // As many shards' registers as there is room for; while the map is not made, the others' are added.
        let first = zip(map.shards, places).prefix(Self.shardsPerTransaction(copies: settings.replication.copies))
            .flatMap { shard, nodes in
                NewCopies(of: shard.id, on: nodes, minInSync: settings.replication.minInSync, using: &generator).changes
            }
        let outcome = try await commit(
            [.put(.collection(collection), expecting: .absent), .put(.map(map), expecting: .absent)] + first)
        guard case .committed(let revision) = outcome else { throw .collectionExists(name) }
        try await finishCreation(
            of: collection, map, revision, at: Dictionary(uniqueKeysWithValues: zip(map.shards.map(\.id), places)),
            context.scope)
        return CollectionDescription(collection, faceCount: 0)
    }

    package func describeCollection(
        _ name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> CollectionDescription {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        let statistics = try await complete(ShardAnswers<ShardStatistics>(), from: handle, context.scope) {
            (_, call) async throws(ShardError) in try await self.shards.statistics(call)
        }
        return CollectionDescription(
            handle.collection, faceCount: statistics.answers.reduce(0) { $0 + $1.faces })
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
