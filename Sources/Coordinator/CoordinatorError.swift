package import AuditLedger
package import ClusterModel
package import FaceModel
package import VectorSearch

/// Everything a call can fail with. The API's one table turns each case into an AWS error.
package enum CoordinatorError: Error, Hashable, Sendable {
    case collectionNotFound(CollectionName)
    case collectionExists(CollectionName)
    case collectionQuota(limit: Int)
    case faceNotFound(FaceID)
    /// An image that must hold a face holds none.
    case noFaces
    case image(ExtractionError)
    /// `index` is the vector's position in the request.
    case vector(index: Int, VectorError)
    /// The collection was made for another model than the one this server runs.
    case otherModel(collection: CollectionName, collectionModel: String, serverModel: String)
    /// The collection's model has no calibration: there is no similarity, only cosine.
    case noSimilarity(modelVersion: String)
    case invalidPageToken
    /// A sealed key or register cannot be opened with this server's key file.
    case keyUnusable(what: String)
    case ledger(LedgerError)
    case shard(ShardError)
    case controlPlane(ControlPlaneError)
}

extension VectorError {
    /// What is wrong with the vector, as the end of a sentence about it.
    package var sentence: String {
        switch self {
        case .dimensionOutOfRange(let dimension):
            "has \(dimension) components; allowed are \(Limits.dimensionRange.lowerBound) to "
                + "\(Limits.dimensionRange.upperBound)"
        case .dimensionNotMultipleOf8(let dimension): "has \(dimension) components, which is no multiple of 8"
        case .dimensionMismatch(let expected, let got): "has \(got) components; the collection's have \(expected)"
        case .notFinite(let component): "component \(component) is not a finite number"
        case .normTooSmall: "is zero, or so short that it has no direction"
        }
    }
}
