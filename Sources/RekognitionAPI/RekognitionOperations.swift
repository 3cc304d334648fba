import Coordinator
import FaceModel

/// The operations of Rekognition that Facet has, in the shapes of botocore's model.
extension Operation {
    static let rekognition = [
        Operation("RekognitionService.CreateCollection", .createCollection, createCollection),
        Operation("RekognitionService.DescribeCollection", .describeCollection, describeCollection),
        Operation("RekognitionService.ListCollections", .listCollections, listCollections),
        Operation("RekognitionService.DeleteCollection", .deleteCollection, deleteCollection),
        Operation("RekognitionService.IndexFaces", .indexFaces, indexFaces),
        Operation("RekognitionService.ListFaces", .listFaces, listFaces),
        Operation("RekognitionService.DeleteFaces", .deleteFaces, deleteFaces),
        Operation("RekognitionService.SearchFaces", .searchFaces, searchFaces),
        Operation("RekognitionService.SearchFacesByImage", .searchFaces, searchFacesByImage),
    ]

    /// Attributes a client may ask IndexFaces for. Facet always gives what it has: box, landmarks, pose, quality.
    private static let attributes = [
        "DEFAULT", "ALL", "AGE_RANGE", "BEARD", "EMOTIONS", "EYE_DIRECTION", "EYEGLASSES", "EYES_OPEN", "GENDER",
        "MOUTH_OPEN", "MUSTACHE", "FACE_OCCLUDED", "SMILE", "SUNGLASSES",
    ]

    private static func createCollection(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let tags = try call.fields.tags("Tags") ?? [:]
        let made = try await call.index { (index) throws(CoordinatorError) in
            try await index.createCollection(name, tags: tags, in: call.context)
        }
        return Answer(["StatusCode": 200, "CollectionArn": call.arn(name), "FaceModelVersion": made.modelVersion])
    }

    private static func describeCollection(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let collection = try await call.index { (index) throws(CoordinatorError) in
            try await index.describeCollection(name, in: call.context)
        }
        return Answer([
            "FaceCount": collection.faceCount, "UserCount": 0, "FaceModelVersion": collection.modelVersion,
            "CollectionARN": call.arn(name), "CreationTimestamp": Shapes.seconds(collection.created),
        ])
    }

    private static func listCollections(_ call: Call) async throws(APIError) -> Answer {
        let (token, limit) = try call.page()
        let page = try await call.index { (index) throws(CoordinatorError) in
            try await index.listCollections(after: token, limit: limit, in: call.context)
        }
        var json: [String: Any] = [
            "CollectionIds": page.collections.map(\.name.text),
            "FaceModelVersions": page.collections.map(\.modelVersion),
        ]
        json["NextToken"] = page.nextToken
        return Answer(json)
    }

    private static func deleteCollection(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        try await call.index { (index) throws(CoordinatorError) in
            try await index.deleteCollection(name, in: call.context)
        }
        return Answer(["StatusCode": 200])
    }

    private static func indexFaces(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let external = try call.externalImageID(call.fields)
        let most = try call.fields.integer("MaxFaces", in: 1...Int(Int32.max))
        let filter = try call.fields.choice("QualityFilter", of: QualityFilter.self) ?? .auto
        _ = try call.fields.choices("DetectionAttributes", of: attributes)
        let image = try call.image()
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.indexFaces(
                image: image, externalImageID: external, maxFaces: most, filter: filter, collection: name,
                in: call.context)
        }
        let records = answer.indexed.map { face -> [String: Any] in
            var record: [String: Any] = ["Face": Shapes.face(face, modelVersion: answer.modelVersion)]
            record["FaceDetail"] = face.detail.map(Shapes.detail)
            return record
        }
        let unindexed = answer.unindexed.map { face -> [String: Any] in
            ["FaceDetail": Shapes.detail(face.detail), "Reasons": face.reasons.map(\.rawValue)]
        }
        return Answer([
            "FaceRecords": records, "UnindexedFaces": unindexed, "FaceModelVersion": answer.modelVersion,
        ])
    }

    private static func listFaces(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let (token, limit) = try call.page()
        let ids: [FaceID]? = try call.fields.ids("FaceIds", count: 1...Limits.pageSizeMax)
        // Users do not exist yet, so no face belongs to one.
        let user = try call.fields.text("UserId", length: 1...128)
        let listing = try await call.index { (index) throws(CoordinatorError) in
            try await index.listFaces(
                collection: name, only: user == nil ? ids : [], after: token, limit: limit, in: call.context)
        }
        var json: [String: Any] = [
            "Faces": listing.faces.map { Shapes.face($0, modelVersion: listing.modelVersion) },
            "FaceModelVersion": listing.modelVersion,
        ]
        json["NextToken"] = listing.nextToken
        return Answer(json)
    }

    private static func deleteFaces(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let ids: [FaceID] = try call.fields.required(
            "FaceIds", try call.fields.ids("FaceIds", count: 1...Limits.deleteFacesMax))
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.deleteFaces(ids, collection: name, in: call.context)
        }
        return Answer([
            "DeletedFaces": answer.deleted.map(\.description),
            "UnsuccessfulFaceDeletions": answer.notFound.map {
                ["FaceId": $0.description, "Reasons": ["FACE_NOT_FOUND"]] as [String: Any]
            },
        ])
    }

    private static func searchFaces(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let face: FaceID = try call.fields.required("FaceId", try call.fields.id("FaceId"))
        let (limit, threshold) = (try call.maxFaces(), try call.similarityThreshold())
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchFaces(
                like: face, limit: limit, threshold: threshold, collection: name, in: call.context)
        }
        let json: [String: Any] = [
            "SearchedFaceId": face.description, "FaceMatches": Shapes.matches(answer, withCosine: false),
            "FaceModelVersion": answer.modelVersion,
        ]
        return Answer(json, search: answer)
    }

    private static func searchFacesByImage(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let (limit, threshold) = (try call.maxFaces(), try call.similarityThreshold())
        let filter = try call.fields.choice("QualityFilter", of: QualityFilter.self) ?? .none
        let image = try call.image()
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchFaces(
                byImage: image, limit: limit, threshold: threshold, filter: filter, collection: name, in: call.context)
        }
        var json: [String: Any] = [
            "FaceMatches": Shapes.matches(answer, withCosine: false), "FaceModelVersion": answer.modelVersion,
        ]
        if let probe = answer.probe {
            json["SearchedFaceBoundingBox"] = Shapes.box(probe.box)
            json["SearchedFaceConfidence"] = Shapes.percent(probe.confidence)
        }
        return Answer(json, search: answer)
    }
}
