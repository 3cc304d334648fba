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
        return Answer([
            "StatusCode": 200, "CollectionArn": .text(call.arn(name)), "FaceModelVersion": .text(made.modelVersion),
        ])
    }

    private static func describeCollection(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let collection = try await call.index { (index) throws(CoordinatorError) in
            try await index.describeCollection(name, in: call.context)
        }
        return Answer([
            "FaceCount": .number(collection.faceCount), "UserCount": 0,
            "FaceModelVersion": .text(collection.modelVersion), "CollectionARN": .text(call.arn(name)),
            "CreationTimestamp": Shapes.seconds(collection.created),
        ])
    }

    private static func listCollections(_ call: Call) async throws(APIError) -> Answer {
        let (token, limit) = try call.page()
        let page = try await call.index { (index) throws(CoordinatorError) in
            try await index.listCollections(after: token, limit: limit, in: call.context)
        }
        var json: Shapes.Object = [
            "CollectionIds": .texts(page.collections.map(\.name.text)),
            "FaceModelVersions": .texts(page.collections.map(\.modelVersion)),
        ]
        json["NextToken"] = page.nextToken.map { .text($0) }
        return Answer(.object(json))
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
        let records = answer.indexed.map { face -> JSONValue in
            var record: Shapes.Object = ["Face": Shapes.face(face, modelVersion: answer.modelVersion)]
            record["FaceDetail"] = face.detail.map(Shapes.detail)
            return .object(record)
        }
        let unindexed = answer.unindexed.map { face -> JSONValue in
            ["FaceDetail": Shapes.detail(face.detail), "Reasons": .texts(face.reasons.map(\.rawValue))]
        }
        return Answer([
            "FaceRecords": .list(records), "UnindexedFaces": .list(unindexed),
            "FaceModelVersion": .text(answer.modelVersion),
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
        var json: Shapes.Object = [
            "Faces": .list(listing.faces.map { Shapes.face($0, modelVersion: listing.modelVersion) }),
            "FaceModelVersion": .text(listing.modelVersion),
        ]
        json["NextToken"] = listing.nextToken.map { .text($0) }
        return Answer(.object(json))
    }

    private static func deleteFaces(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let ids: [FaceID] = try call.fields.required(
            "FaceIds", try call.fields.ids("FaceIds", count: 1...Limits.deleteFacesMax))
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.deleteFaces(ids, collection: name, in: call.context)
        }
        return Answer([
            "DeletedFaces": .texts(answer.deleted.map(\.description)),
            "UnsuccessfulFaceDeletions": .list(
                answer.notFound.map { ["FaceId": .text($0.description), "Reasons": .texts(["FACE_NOT_FOUND"])] }),
        ])
    }

    private static func searchFaces(_ call: Call) async throws(APIError) -> Answer {
        let name = try call.collection()
        let face: FaceID = try call.fields.required("FaceId", try call.fields.id("FaceId"))
        let (limit, threshold) = (try call.maxFaces(), try call.similarityThreshold())
        let answer = try await call.index { (index) throws(CoordinatorError) in
            try await index.searchFaces(
                like: face, limit: limit, threshold: threshold, mode: call.mode.asked, collection: name,
                in: call.context)
        }
        let json: JSONValue = [
            "SearchedFaceId": .text(face.description), "FaceMatches": Shapes.matches(answer, withCosine: false),
            "FaceModelVersion": .text(answer.modelVersion),
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
                byImage: image, limit: limit, threshold: threshold, filter: filter, mode: call.mode.asked,
                collection: name, in: call.context)
        }
        var json: Shapes.Object = [
            "FaceMatches": Shapes.matches(answer, withCosine: false), "FaceModelVersion": .text(answer.modelVersion),
        ]
        if let probe = answer.probe {
            json["SearchedFaceBoundingBox"] = Shapes.box(probe.box)
            json["SearchedFaceConfidence"] = Shapes.percent(probe.confidence)
        }
        return Answer(.object(json), search: answer)
    }
}
