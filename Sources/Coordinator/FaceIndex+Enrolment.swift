import ClusterModel
package import FaceModel
import KeyHierarchy
import Synchronization
import VectorSearch

extension FaceIndex {
    /// Enrols the faces of a photo that pass the filter, largest first, at most `maxFaces`. The same photo enrolled
    /// again under the same ExternalImageId gives the same FaceIds and changes nothing.
    package func indexFaces(
        image: [UInt8], externalImageID: ExternalImageID?, maxFaces: Int?, filter: QualityFilter,
        collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> IndexFacesAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        try requireServerModel(handle)
        let extracted = try await extract(image, scope: .allFaces)
        let selection = FaceSelection(extracted, filter: filter, maxFaces: maxFaces)
        let imageID = FaceIdentity.imageID(idKey: handle.secrets.idKey, imageDigest: KeyedHash.sha256(image))
        var faces: [NewFace] = []
        for (position, face) in selection.chosen.enumerated() {
            faces.append(
                NewFace(
                    vector: try rotate(face.embedding, at: position, in: handle), externalImageID: externalImageID,
                    record: FaceRecord(imageID: imageID, detail: face.detail),
                    token: context.token.face(at: position)))
        }
        return IndexFacesAnswer(
            indexed: try await enrol(faces, in: handle, context), unindexed: selection.passedOver,
            modelVersion: handle.collection.modelVersion)
    }

    /// Enrols vectors as they are, in their order.
    package func indexVectors(
        _ vectors: [VectorToIndex], collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> [StoredFaceSummary] {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        var faces: [NewFace] = []
        faces.reserveCapacity(vectors.count)
        for (position, item) in vectors.enumerated() {
            faces.append(
                NewFace(
                    vector: try rotate(item.vector, at: position, in: handle), externalImageID: item.externalImageID,
                    record: FaceRecord(imageID: nil, detail: nil), token: context.token.face(at: position)))
        }
        return try await enrol(faces, in: handle, context)
    }

    package func deleteFaces(
        _ ids: [FaceID], collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> DeletionAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        // Beside the gathering, which a newer map begins again: what was deleted before stays deleted. A shard that is
        // asked again because nobody knows whether it deleted knows the token, and answers as it did then.
        let deletions = FoundFaces()
        let gathering = await gather(ShardAnswers<DeleteOutcome>(), from: handle, context.scope) {
            (_, call) async throws(ShardError) in
            let outcome = try await self.shards.delete(ids, token: context.token, call)
            deletions.add(outcome.deleted)
            context.session.saw(call.shard, outcome.at, of: handle.collection.uid)
            return outcome
        }
        guard case .complete = gathering.outcome else { throw await incomplete(gathering, handle, writing: true) }
        let deleted = deletions.ids
        var seen: Set<FaceID> = []
        let unique = ids.filter { seen.insert($0).inserted }
        return DeletionAnswer(
            deleted: unique.filter(deleted.contains), notFound: unique.filter { !deleted.contains($0) })
    }

    /// Faces in FaceID order; `ids` narrows the listing to those.
    package func listFaces(
        collection name: CollectionName, only ids: [FaceID]?, after token: String?, limit: Int,
        in context: CallContext
    ) async throws(CoordinatorError) -> FaceListing {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        let tokens = PageTokens(key: handle.secrets.idKey, scope: "faces")
        var last: FaceID?
        if let token {
            guard let bytes = tokens.open(token), bytes.count == 16 else { throw .invalidPageToken }
            last = FaceID(Bits128(bigEndian: bytes))
        }
        let after = last
        let pages = try await complete(ShardAnswers<FacePage>(), from: handle, context.scope, reading: true) {
            (_, call) async throws(ShardError) in
            let page = try await self.page(call, only: ids, after: after, limit: limit)
            context.session.saw(call.shard, page.at, of: handle.collection.uid)
            return page
        }
        var found = pages.answers.flatMap(\.faces)
        var more = pages.answers.contains(where: \.more)
        found.sort { $0.id < $1.id }
        let shown = found.prefix(limit)
        more = more || found.count > shown.count
        return FaceListing(
            faces: shown.map(StoredFaceSummary.init),
            nextToken: more ? shown.last.map { tokens.seal($0.id.bits.bytes) } : nil,
            modelVersion: handle.collection.modelVersion)
    }

    func extract(_ image: [UInt8], scope: ExtractionScope) async throws(CoordinatorError) -> ExtractedImage {
        let started = ContinuousClock.now
        defer { measures.extraction(since: started) }
        do throws(ExtractionError) {
            return try await extractor.extract(image: image, scope: scope)
        } catch {
            throw .image(error)
        }
    }

    func rotate(
        _ embedding: Embedding, at index: Int, in handle: CollectionHandle
    ) throws(CoordinatorError) -> RotatedVector {
        do throws(VectorError) {
            return try handle.secrets.rotation.rotate(embedding)
        } catch {
            throw .vector(index: index, error)
        }
    }

    func requireServerModel(_ handle: CollectionHandle) throws(CoordinatorError) {
        let collection = handle.collection
        guard collection.modelVersion == model.version, collection.modelName == model.name else {
            throw .otherModel(
                collection: collection.name, collectionModel: "\(collection.modelName) \(collection.modelVersion)",
                serverModel: "\(model.name) \(model.version)")
        }
    }

    private func enrol(
        _ faces: [NewFace], in handle: CollectionHandle, _ context: CallContext
    ) async throws(CoordinatorError) -> [StoredFaceSummary] {
        guard !faces.isEmpty else { return [] }
        let homes = FaceHomes(faces.map(\.vector), in: handle)
        let gathering = await gather(
            EnrolledFaces(), from: handle, context.scope,
            choosing: { map in homes.shards(of: map) }
        ) { (shard, call) async throws(ShardError) in
            let positions = homes.positions(in: shard)
            let outcome = try await self.shards.enrol(positions.map { faces[$0] }, call)
            guard outcome.faces.count == positions.count else {
                throw .unreachable(
                    shard.id, node: shard.node, reason: "it answered for another number of faces",
                    outcomeUnknown: true)
            }
            context.session.saw(shard.id, outcome.at, of: handle.collection.uid)
            return EnrolledFaces.Part(positions: positions, ids: outcome.faces)
        }
        guard case .complete(let enrolled) = gathering.outcome else {
            throw await incomplete(gathering, handle, writing: true)
        }
        measures.enrolled(faces.count)
        return faces.enumerated().map { position, face in
            guard let id = enrolled.ids[position] else { preconditionFailure("a face without a home was enrolled") }
            return StoredFaceSummary(
                id: id, externalImageID: face.externalImageID, imageID: face.record.imageID,
                detail: face.record.detail)
        }
    }

    private func page(
        _ call: ShardCall, only ids: [FaceID]?, after last: FaceID?, limit: Int
    ) async throws(ShardError) -> FacePage {
        guard let ids else { return try await shards.list(after: last, limit: limit, call) }
        let wanted = ids.filter { id in last.map { id > $0 } ?? true }
        let found = try await shards.faces(wanted, call)
        return FacePage(faces: Array(found.faces.prefix(limit)), more: found.faces.count > limit, at: found.at)
    }
}

/// Which shards the faces of one request belong to, by the map that they are enrolled at.
private final class FaceHomes: Sendable {
    private let faces: [(vector: RotatedVector, anchor: LeafID)]
    private let homes = Mutex<[LeafID]>([])

    init(_ vectors: [RotatedVector], in handle: CollectionHandle) {
        faces = vectors.map { ($0, handle.anchor(of: $0)) }
    }

    /// Those that any face belongs to; from here on by this map.
    func shards(of map: CollectionMap) -> [CollectionMap.Shard] {
        let found = faces.map { map.home(of: $0.vector, from: $0.anchor) }
        homes.withLock { $0 = found }
        return map.shards.filter { shard in found.contains(where: shard.roots.contains) }
    }

    func positions(in shard: CollectionMap.Shard) -> [Int] {
        homes.withLock { homes in homes.indices.filter { shard.roots.contains(homes[$0]) } }
    }
}

/// The ids of one request's faces, by their positions in it.
private struct EnrolledFaces: ShardGathering {
    struct Part: Sendable {
        var positions: [Int]
        var ids: [FaceID]
    }
    private(set) var ids: [Int: FaceID] = [:]
    mutating func add(_ part: Part, from shard: CollectionMap.Shard) {
        for (position, id) in zip(part.positions, part.ids) { ids[position] = id }
    }
}

/// Faces that shards named, from whatever task.
private final class FoundFaces: Sendable {
    private let found = Mutex<Set<FaceID>>([])
    var ids: Set<FaceID> { found.withLock { $0 } }
    func add(_ ids: [FaceID]) { found.withLock { $0.formUnion(ids) } }
}

extension StoredFaceSummary {
    init(_ face: StoredFace) {
        self.init(
            id: face.id, externalImageID: face.externalImageID, imageID: face.record.imageID,
            detail: face.record.detail)
    }
}
