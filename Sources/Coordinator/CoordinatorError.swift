package import AuditLedger
package import ClusterModel
package import FaceModel
package import VectorSearch

/// Everything a call can fail with. The API's one table turns each case into an AWS error.
package enum CoordinatorError: Error, Hashable, Sendable {
    case collectionNotFound(CollectionName)
    case collectionExists(CollectionName)
    case collectionQuota(limit: Int)
    /// A collection has 1...`max` shards.
    case shardCount(asked: Int, max: Int)
    /// No node is there that a new collection's shards could be made on.
    case noNodes
    /// Fewer nodes answer than a new shard has copies, each of which needs a node of its own.
    case tooFewNodes(copies: Int, nodes: Int)
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
    case session(SessionProblem)
    /// A sealed key or register cannot be opened with this server's key file.
    case keyUnusable(what: String)
    case ledger(LedgerError)
    /// The ledger did not say who is suspended, so nobody is answered.
    case standingUnknown(LedgerError)
    /// Shards without which there is no answer gave none. A search that may be partial fails so too when no shard
    /// answered, or when those that did hold no candidate: silence of the others is not "no match".
    case incomplete(asked: Int, answered: Int, missing: [MissingShard])
    /// A write that `written` of the `asked` shards it touches have done. The same request again completes it: a face
    /// that is enrolled already keeps its id.
    case incompleteWrite(asked: Int, written: Int, missing: [MissingShard])
    case shardNotFound(ShardID)
    /// A copy cannot be moved so; the reason is the end of a sentence about the request.
    case impossibleMove(reason: String)
    /// What is left of a shard does not allow it, or does not need it; the reason is sentences, the last without its end.
    case impossibleRecovery(reason: String)
    case controlPlane(ControlPlaneError)
}

/// Why reads cannot be as the client asks.
package enum SessionProblem: Hashable, Sendable {
    /// What the client has seen is of another collection.
    case otherCollection
    /// An operator has accepted a loss of the shard since the client saw it.
    case beforeLoss(ShardID)
    /// Which buckets are worth it is known of a shard as it is, not of a copy that lags.
    case routedNeedsStrong
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

extension ShardError {
    /// What is wrong with the shard, as the end of a sentence about it.
    package var sentence: String {
        switch self {
        case .unknownShard: "is not open there"
        case .wrongDimension(let expected, let got): "has vectors of \(expected) components, not \(got)"
        case .wrongOwner(_, owned: []): "has just been split, and the map does not say so yet"
        case .wrongOwner(_, let owned):
            "owns the subtrees \(owned.map { String($0.value) }.joined(separator: ", ")), which the map denies"
        case .notPrimary: "is decided for by another of its copies"
        case .notServing(_, let reason): "does not answer now: \(reason)"
        case .interrupted: "was taken over by another of its copies meanwhile; the write may or may not have happened"
        case .writesRefused(_, let reason): "takes no writes now: \(reason)"
        case .busy(_, let reason): "is busy: \(reason)"
        case .damaged(_, let reason): "is damaged: \(reason)"
        case .stopped(_, let reason): "has stopped: \(reason)"
        case .deadlineExceeded: "did not answer in time"
        case .unreachable(_, _, let reason, _): "cannot be reached: \(reason)"
        }
    }

    /// Time alone may cure it: the same request may succeed soon.
    package var passes: Bool {
        switch self {
        case .writesRefused, .busy, .notPrimary, .notServing, .interrupted: true
        case .unknownShard, .wrongDimension, .wrongOwner, .damaged, .stopped, .deadlineExceeded, .unreachable: false
        }
    }

    /// One word for a metric's label.
    var word: String {
        switch self {
        case .unknownShard: "unknown"
        case .wrongDimension: "dimension"
        case .wrongOwner: "owner"
        case .notPrimary: "not_primary"
        case .notServing: "not_serving"
        case .interrupted: "interrupted"
        case .writesRefused: "writes"
        case .busy: "busy"
        case .damaged: "damaged"
        case .stopped: "stopped"
        case .deadlineExceeded: "deadline"
        case .unreachable: "unreachable"
        }
    }
}

extension LedgerError {
    /// What is wrong with the ledger, as the end of a sentence about it.
    package var sentence: String {
        switch self {
        case .refusing(let reason): reason
        case .damaged(let reason): "it is damaged: \(reason)"
        case .stopped(let reason): "it has stopped: \(reason)"
        case .unreachable(let reason): "its node cannot be reached: \(reason)"
        case .suspended: "the account is suspended"
        case .keyRevoked: "the access key is revoked"
        }
    }
}
