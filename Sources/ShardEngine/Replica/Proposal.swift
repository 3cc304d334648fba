import ClusterModel
import FaceModel
import KeyHierarchy
import VectorSearch

/// Names a request between driver and machine.
struct ProposalID: Hashable {
    let value: UInt64
}

struct Proposal {
    enum Request {
        case enrol([KeyedFace], FaceIdentityKeys)
        case delete([FaceID], token: RequestToken)
        case split(SplitChange)
    }
    var id: ProposalID
    /// The subtree roots that the caller believes the shard owns.
    var roots: [LeafID]
    var request: Request
}

/// A step of a shard's split that its log notes.
enum SplitChange: Equatable {
    case begin(SplitPlan)
    case release
    case abort
}

/// A face with the key that makes its enrolment idempotent.
struct KeyedFace {
    var face: NewFace
    var key: FaceKey
}

/// HMAC of the collection's id key over vector bits, ExternalImageId and model: 32 bytes.
struct FaceKey: Hashable {
    let bytes: [UInt8]
}

/// How often a face key was deleted before (`count`), and whether a face with it lives now.
struct FaceKeyState: Equatable {
    var count: UInt32
    var live: Bool
}

/// What `state.sqlite` says of the faces a batch names, at the applied index.
struct KnownFaces {
    var keys: [FaceKey: FaceKeyState] = [:]
    /// Live faces among the ids asked for.
    var live: [FaceID: FaceKey] = [:]
    /// Faces that were enrolled lately, by which request; they may be gone again.
    var enrolments: [RequestToken: FaceID] = [:]
    /// Of those that were deleted lately, by which request.
    var deletions: [FaceID: RequestToken] = [:]
}

enum ProposalOutcome: Equatable {
    case enrolled([FaceID], at: LogIndex)
    case deleted([FaceID], notFound: [FaceID], at: LogIndex)
    /// The shard owns these subtrees and not those the caller believes; nothing was written.
    case wrongOwner([LeafID])
    /// It is being split, and takes no writes meanwhile; nothing was written.
    case dividing
    /// The split of the shard is as far as was asked.
    case stepped
    /// The split cannot go this way; nothing was written.
    case splitRefused(reason: String)

    /// The same outcome with the log position that made it durable.
    func placed(at index: LogIndex) -> ProposalOutcome {
        switch self {
        case .enrolled(let ids, _): .enrolled(ids, at: index)
        case .deleted(let ids, let missing, _): .deleted(ids, notFound: missing, at: index)
        case .wrongOwner, .dividing, .stepped, .splitRefused: self
        }
    }
}

extension ProposalOutcome {
    /// What the caller is told.
    func result(_ shard: ShardID) -> Result<ProposalOutcome, ShardError> {
        switch self {
        case .enrolled, .deleted, .stepped: .success(self)
        case .wrongOwner(let owned): .failure(.wrongOwner(shard, owned: owned))
        case .dividing: .failure(.notServing(shard, reason: "it is being split"))
        case .splitRefused(let reason): .failure(.writesRefused(shard, reason: reason))
        }
    }
}

/// One applied record, as state and buffer take it.
enum Change: Equatable {
    case put(PutRecord)
    case delete(DeleteRecord)
    case config(ConfigRecord)
    /// With its position in the log.
    case split(BucketSplit, at: LogIndex)
    /// The shard is to be replaced by two.
    case shardSplit(ShardSplitState)
    /// It is replaced; at this place of the log.
    case splitReleased(at: LogIndex)
    /// It stays; at this place of the log.
    case splitAborted(at: LogIndex)
    /// What the state is to be in front of this record, which changes nothing; with its position in the log.
    case checkpoint(StateDigest, at: LogIndex)
}

/// Derives the ids of one collection's faces from its id key.
struct FaceIdentityKeys: Equatable {
    let idKey: [UInt8]
    let modelVersion: String

    func key(of face: NewFace) -> FaceKey { key(of: face.vector, face.externalImageID) }

    func key(of vector: RotatedVector, _ externalImageID: ExternalImageID?) -> FaceKey {
        FaceKey(
            bytes: FaceIdentity.faceKey(
                idKey: idKey, vector: vector, externalImageID: externalImageID, modelVersion: modelVersion))
    }

    func faceID(key: FaceKey, count: UInt32) -> FaceID {
        FaceIdentity.faceID(idKey: idKey, faceKey: key.bytes, count: count)
    }
}
