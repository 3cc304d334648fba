package import FaceModel

package struct CollectionDescription: Hashable, Sendable {
    package var name: CollectionName
    package var tenant: TenantID
    package var faceCount: Int
    package var modelVersion: String
    package var dimension: Int
    package var created: Timestamp
    package init(
        name: CollectionName, tenant: TenantID, faceCount: Int, modelVersion: String, dimension: Int,
        created: Timestamp
    ) {
        self.name = name
        self.tenant = tenant
        self.faceCount = faceCount
        self.modelVersion = modelVersion
        self.dimension = dimension
        self.created = created
    }
}

/// One page of collections in the order of their names; `faceCount` is not read for a listing and is 0.
package struct CollectionPage: Sendable {
    package var collections: [CollectionDescription]
    package var nextToken: String?
    package init(collections: [CollectionDescription], nextToken: String?) {
        self.collections = collections
        self.nextToken = nextToken
    }
}

package struct FaceListing: Sendable {
    package var faces: [StoredFaceSummary]
    package var nextToken: String?
    package var modelVersion: String
    package init(faces: [StoredFaceSummary], nextToken: String?, modelVersion: String) {
        self.faces = faces
        self.nextToken = nextToken
        self.modelVersion = modelVersion
    }
}

/// A face as answers show it.
package struct StoredFaceSummary: Hashable, Sendable {
    package var id: FaceID
    package var externalImageID: ExternalImageID?
    package var imageID: ImageID?
    /// Missing for a face enrolled as a bare vector.
    package var detail: FaceDetail?
    package init(id: FaceID, externalImageID: ExternalImageID?, imageID: ImageID?, detail: FaceDetail?) {
        self.id = id
        self.externalImageID = externalImageID
        self.imageID = imageID
        self.detail = detail
    }
}

/// What IndexFaces did with each face of the photo.
package struct IndexFacesAnswer: Sendable {
    package struct Unindexed: Sendable {
        package var detail: FaceDetail
        package var reasons: [UnindexedReason]
    }
    /// Largest box first.
    package var indexed: [StoredFaceSummary]
    package var unindexed: [Unindexed]
    package var modelVersion: String
}

/// Raw values are Rekognition's.
package enum UnindexedReason: String, Hashable, Sendable, CaseIterable {
    case exceedsMaxFaces = "EXCEEDS_MAX_FACES"
    case extremePose = "EXTREME_POSE"
    case lowBrightness = "LOW_BRIGHTNESS"
    case lowSharpness = "LOW_SHARPNESS"
    case lowConfidence = "LOW_CONFIDENCE"
    case smallBoundingBox = "SMALL_BOUNDING_BOX"
    case lowFaceQuality = "LOW_FACE_QUALITY"
}

/// Raw values are Rekognition's.
package enum QualityFilter: String, Hashable, Sendable, CaseIterable {
    case none = "NONE"
    case auto = "AUTO"
    case low = "LOW"
    case medium = "MEDIUM"
    case high = "HIGH"
}

/// From which score on a face is a candidate.
package enum SearchThreshold: Hashable, Sendable {
    /// 0...100, inclusive; refused where the model has no calibration.
    case similarity(Double)
    /// -1...1, inclusive.
    case cosine(Float)
}

/// A lead, not an identification.
package struct Candidate: Sendable {
    package var face: StoredFaceSummary
    package var cosine: Float
    /// Missing where the model has no calibration.
    package var similarity: Double?
}

package struct SearchAnswer: Sendable {
    package var search: SearchID
    /// The face of the probe image that was searched; missing for searches by FaceId or vector.
    package var probe: FaceDetail?
    /// Highest score first.
    package var candidates: [Candidate]
    package var modelVersion: String
    package var cosineApplied: Float
    package var similarityApplied: Double?
    /// Strangers at or above the threshold that a search over this many faces should expect.
    package var expectedStrangers: Double?
    package var coverage: SearchCoverage
    /// Empty unless the caller allows partial answers: the shards that the candidates are not from, and why.
    package var missing: [MissingShard]
}

/// How much of the collection stands behind an answer.
package struct SearchCoverage: Hashable, Sendable, CustomStringConvertible {
    package var shardsAnswered: Int
    package var shardsAsked: Int
    package var facesScored: Int
    package var mode: SearchMode
    /// What a routed search chose.
    package var route: RouteCounts?
    package var consistency: ReadConsistency

    /// How the faces were chosen and read, in words.
    var statement: String { mode.text(route) + consistency.statement }

    /// As `x-facet-coverage` has it.
    package var description: String {
        "shards=\(shardsAnswered)/\(shardsAsked) faces=\(facesScored) mode=\(statement)"
    }
}

/// A vector a client brings.
package struct VectorToIndex: Sendable {
    package var vector: Embedding
    package var externalImageID: ExternalImageID?
    package init(vector: Embedding, externalImageID: ExternalImageID?) {
        self.vector = vector
        self.externalImageID = externalImageID
    }
}

package struct DeletionAnswer: Sendable {
    package var deleted: [FaceID]
    package var notFound: [FaceID]
}
