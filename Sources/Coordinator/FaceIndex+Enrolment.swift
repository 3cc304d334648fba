import ClusterModel
package import FaceModel
import KeyHierarchy
import VectorSearch

extension FaceIndex {
    /// Enrols the faces of a photo that pass the filter, largest first, at most `maxFaces`. The same photo enrolled
    /// again under the same ExternalImageId gives the same FaceIds and changes nothing.
    package func indexFaces(
        image: [UInt8], externalImageID: ExternalImageID?, maxFaces: Int?, filter: QualityFilter,
        collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> IndexFacesAnswer {
        let handle = try await handle(name, tenant: context.tenant)
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
                    token: token(context, ordinal: position)))
        }
        return IndexFacesAnswer(
            indexed: try await enrol(faces, in: handle), unindexed: selection.passedOver,
            modelVersion: handle.collection.modelVersion)
    }

    /// Enrols vectors as they are, in their order.
    package func indexVectors(
        _ vectors: [VectorToIndex], collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> [StoredFaceSummary] {
        let handle = try await handle(name, tenant: context.tenant)
        var faces: [NewFace] = []
        faces.reserveCapacity(vectors.count)
        for (position, item) in vectors.enumerated() {
            faces.append(
                NewFace(
                    vector: try rotate(item.vector, at: position, in: handle), externalImageID: item.externalImageID,
                    record: FaceRecord(imageID: nil, detail: nil), token: token(context, ordinal: position)))
        }
        return try await enrol(faces, in: handle)
    }

    package func deleteFaces(
        _ ids: [FaceID], collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> DeletionAnswer {
        let handle = try await handle(name, tenant: context.tenant)
        var deleted: Set<FaceID> = []
        for shard in handle.map.shards {
            do throws(ShardError) {
                let outcome = try await shards.delete(ids, in: shard.id, token: token(context, ordinal: 0))
                deleted.formUnion(outcome.deleted)
            } catch {
                throw .shard(error)
            }
        }
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
        let handle = try await handle(name, tenant: context.tenant)
        let pages = PageTokens(key: handle.secrets.idKey, scope: "faces")
        var last: FaceID?
        if let token {
            guard let bytes = pages.open(token), bytes.count == 16 else { throw .invalidPageToken }
            last = FaceID(Bits128(bigEndian: bytes))
        }
        var found: [StoredFace] = []
        var more = false
        for shard in handle.map.shards {
            let page = try await page(of: shard.id, only: ids, after: last, limit: limit)
            found += page.faces
            more = more || page.more
        }
        found.sort { $0.id < $1.id }
        let shown = found.prefix(limit)
        more = more || found.count > shown.count
        return FaceListing(
            faces: shown.map(StoredFaceSummary.init),
            nextToken: more ? shown.last.map { pages.seal($0.id.bits.bytes) } : nil,
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
        _ faces: [NewFace], in handle: CollectionHandle
    ) async throws(CoordinatorError) -> [StoredFaceSummary] {
        guard !faces.isEmpty else { return [] }
        do throws(ShardError) {
            let outcome = try await shards.enrol(faces, in: handle.home)
            measures.enrolled(outcome.faces.count)
            return zip(outcome.faces, faces).map { id, face in
                StoredFaceSummary(
                    id: id, externalImageID: face.externalImageID, imageID: face.record.imageID,
                    detail: face.record.detail)
            }
        } catch {
            throw .shard(error)
        }
    }

    private func page(
        of shard: ShardID, only ids: [FaceID]?, after last: FaceID?, limit: Int
    ) async throws(CoordinatorError) -> FacePage {
        do throws(ShardError) {
            guard let ids else { return try await shards.list(after: last, limit: limit, in: shard) }
            let wanted = ids.filter { id in last.map { id > $0 } ?? true }
            let faces = try await shards.faces(wanted, in: shard)
            return FacePage(faces: Array(faces.prefix(limit)), more: faces.count > limit)
        } catch {
            throw .shard(error)
        }
    }

    private func token(_ context: CallContext, ordinal: Int) -> RequestToken {
        let hash = KeyedHash.sha256(
            context.token.bits.bytes + withUnsafeBytes(of: UInt32(ordinal).bigEndian, Array.init))
        return RequestToken(Bits128(bigEndian: hash))
    }
}

extension StoredFaceSummary {
    init(_ face: StoredFace) {
        self.init(
            id: face.id, externalImageID: face.externalImageID, imageID: face.record.imageID,
            detail: face.record.detail)
    }
}
