import Coordinator
import FaceModel

/// Facet's own operations: `X-Amz-Target: FacetService.<Name>`, same signature, same errors. docs/api.md describes them.
extension Operation {
    static let facet = [
        Operation("FacetService.CreateCollection", .createCollection, createCollection),
        Operation("FacetService.IndexVectors", .indexFaces, indexVectors),
        Operation("FacetService.SearchByVector", .searchFaces, searchByVector),
        Operation("FacetService.SearchByVectors", .searchFaces, searchByVectors),
        Operation("FacetService.GetSearchRecord", .readSearchRecord, getSearchRecord),
        Operation("FacetService.GetInclusionProof", .readSearchRecord, getInclusionProof),
        Operation("FacetService.GetStatus", .readStatus, getStatus),
        Operation("FacetService.MoveCopy", .manageCopies, moveCopy),
        Operation("FacetService.ReplicateShard", .manageCopies, replicateShard),
        Operation("FacetService.SplitShard", .manageCopies, splitShard),
        Operation("FacetService.ResignPrimary", .manageCopies, resignPrimary),
        Operation("FacetService.RecoverShard", .manageCopies, recoverShard),
        Operation("FacetService.RebuildRegisters", .manageCopies, rebuildRegisters),
        Operation("FacetService.SuspendTenant", .suspendTenant, suspendTenant),
        Operation("FacetService.ResumeTenant", .resumeTenant, resumeTenant),
    ]

    /// For the server's model, or, with `Dimension` and `Model`, for vectors that the client computes itself.
    private static func createCollection(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let shards = try call.fields.integer("Shards", in: 1...Limits.shardsPerCollectionMax)
        let own = try ownModel(call.fields)
        let made = try await call.index { (index) throws(CoordinatorError) in
            try await index.createCollection(name, tags: [:], own: own, shards: shards, in: call.context)
        }
        return Answer([
            "StatusCode": 200, "CollectionArn": .text(call.arn(name)), "FaceModelVersion": .text(made.modelVersion),
        ])
    }

    private static func ownModel(_ fields: RequestFields) throws(APIError) -> OwnModel? {
        guard fields.has("Dimension") || fields.has("Model") || fields.has("ModelVersion") else { return nil }
        let dimension: Int = try fields.required(
            "Dimension", try fields.integer("Dimension", in: Limits.dimensionRange))
        guard dimension.isMultiple(of: 8) else { throw fields.invalid("Dimension", "must be a multiple of 8") }
        let model: String = try fields.required("Model", try fields.text("Model", length: 1...128))
        let version = try fields.text("ModelVersion", length: 1...32) ?? "1.0"
        guard version.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) else {
            throw fields.invalid("ModelVersion", "must be digits and dots")
        }
        return OwnModel(name: model, version: version, dimension: dimension)
    }

    private static func indexVectors(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let items: [RequestFields] = try call.fields.required(
            "Vectors", try call.fields.objects("Vectors", count: 1...Limits.vectorsPerRequestMax))
        var vectors: [VectorToIndex] = []
        for item in items {
            let vector: Embedding = try item.required("Vector", try item.vector("Vector"))
            vectors.append(VectorToIndex(vector: vector, externalImageID: try call.externalImageID(item)))
        }
        let faces = try await call.index { [vectors] (index) throws(CoordinatorError) in
            try await index.indexVectors(vectors, collection: name, in: call.context)
        }
        return Answer([
            "FaceRecords": .list(
                faces.map { face in
                    var object: Shapes.Object = ["FaceId": .text(face.id.description)]
                    object["ExternalImageId"] = face.externalImageID.map { .text($0.text) }
                    return ["Face": .object(object)]
                })
        ])
    }

    private static func searchByVector(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let vector: Embedding = try call.fields.required("Vector", try call.fields.vector("Vector"))
        let (limit, threshold) = (try call.maxFaces(), try threshold(call))
        let mode = try call.mode.asked(call.fields)
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchFaces(
                byVector: vector, limit: limit, threshold: threshold, mode: mode, collection: name, in: call.context)
        }
        let json: JSONValue = [
            "FaceMatches": Shapes.matches(answer, withCosine: true), "FaceModelVersion": .text(answer.modelVersion),
        ]
        return Answer(json, search: answer)
    }

    /// Several vectors in one pass. Each is a search of its own, whose id is in the body.
    private static func searchByVectors(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let vectors: [Embedding] = try call.fields.required(
            "Vectors", try call.fields.vectors("Vectors", count: 1...Limits.searchesPerRequestMax))
        let (limit, threshold) = (try call.maxFaces(), try threshold(call))
        guard limit * vectors.count <= Limits.candidatesPerRequestMax else {
            throw call.fields.invalid(
                "MaxFaces",
                "must be at most \(Limits.candidatesPerRequestMax / vectors.count) for \(vectors.count) Vectors")
        }
        let mode = try call.mode.asked(call.fields)
        let answers = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchFaces(
                byVectors: vectors, limit: limit, threshold: threshold, mode: mode, collection: name, in: call.context)
        }
        return Answer([
            "Searches": .list(answers.map(Shapes.search)), "FaceModelVersion": .text(answers[0].modelVersion),
        ])
    }

    private static func threshold(_ call: Call) throws(APIError) -> SearchThreshold {
        let similarity = try call.similarityThreshold()
        guard let cosine = try call.fields.number("CosineThreshold", in: -1...1) else { return similarity }
        guard !call.fields.has("FaceMatchThreshold") else {
            throw call.fields.invalid("CosineThreshold", "and FaceMatchThreshold must not both be given")
        }
        return .cosine(Float(cosine))
    }

    private static func getSearchRecord(_ call: Call) async throws(APIError) -> Answer {
        let search: SearchID = try call.fields.required("SearchId", try call.fields.id("SearchId"))
        let record = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchRecord(search, in: call.context)
        }
        guard let record else { throw Self.noSuchSearch(search) }
        return Answer(Shapes.record(record))
    }

    private static func getInclusionProof(_ call: Call) async throws(APIError) -> Answer {
        let search: SearchID = try call.fields.required("SearchId", try call.fields.id("SearchId"))
        let record = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchRecord(search, in: call.context)
        }
        guard let record else { throw Self.noSuchSearch(search) }
        return Answer(["Leaves": .list(record.leaves.map(Shapes.proof))])
    }

    private static func getStatus(_ call: Call) async throws(APIError) -> Answer {
        var status = await call.index.status()
        // Operators see to every account's shards.
        if call.context.tenant != .cluster {
            status.collections.removeAll { $0.tenant != call.context.tenant }
            status.standing.suspended = status.standing.suspended.filter { $0.key == call.context.tenant }
        }
        return Answer(Shapes.status(status))
    }

    private static func noSuchSearch(_ search: SearchID) -> APIError {
        APIError(.resourceNotFound, "The search \(search) is not in this account's ledger.")
    }
}
