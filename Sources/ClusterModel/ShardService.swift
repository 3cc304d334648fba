package import FaceModel

/// Everything a node must know to open its copy of a shard, or to make an empty one.
package struct ShardDescriptor: Hashable, Sendable {
    package var tenant: TenantID
    package var collection: CollectionUID
    package var shard: ShardID
    package var dimension: Int
    package var modelVersion: String
    /// Key of the HMAC that makes FaceIds (32 bytes); never written to disk by the shard.
    package var idKey: [UInt8]
    package init(
        tenant: TenantID, collection: CollectionUID, shard: ShardID, dimension: Int, modelVersion: String,
        idKey: [UInt8]
    ) {
        self.tenant = tenant
        self.collection = collection
        self.shard = shard
        self.dimension = dimension
        self.modelVersion = modelVersion
        self.idKey = idKey
    }
}

/// One face to enrol.
package struct NewFace: Sendable {
    package var vector: RotatedVector
    package var externalImageID: ExternalImageID?
    package var record: FaceRecord
    package var token: RequestToken
    package init(
        vector: RotatedVector, externalImageID: ExternalImageID?, record: FaceRecord, token: RequestToken
    ) {
        self.vector = vector
        self.externalImageID = externalImageID
        self.record = record
        self.token = token
    }
}

/// A face as it is stored, without its vector.
package struct StoredFace: Hashable, Sendable {
    package var id: FaceID
    package var externalImageID: ExternalImageID?
    package var record: FaceRecord
    package init(id: FaceID, externalImageID: ExternalImageID?, record: FaceRecord) {
        self.id = id
        self.externalImageID = externalImageID
        self.record = record
    }
}

package struct EnrolOutcome: Hashable, Sendable {
    /// In the order of the request. An equal face enrolled before answers with the id it already has.
    package var faces: [FaceID]
    package var lsn: LogIndex
    package init(faces: [FaceID], lsn: LogIndex) {
        self.faces = faces
        self.lsn = lsn
    }
}

package struct DeleteOutcome: Hashable, Sendable {
    package var deleted: [FaceID]
    package var notFound: [FaceID]
    package var lsn: LogIndex
    package init(deleted: [FaceID], notFound: [FaceID], lsn: LogIndex) {
        self.deleted = deleted
        self.notFound = notFound
        self.lsn = lsn
    }
}

package struct ShardSearch: Sendable {
    package var query: RotatedVector
    /// At most this many, 1...`Limits.candidatesMax` + 1 (one more when the probe itself will be dropped).
    package var limit: Int
    /// Inclusive.
    package var minScore: Float
    package init(query: RotatedVector, limit: Int, minScore: Float) {
        self.query = query
        self.limit = limit
        self.minScore = minScore
    }
}

package struct ShardCandidate: Hashable, Sendable {
    package var score: Float
    package var face: StoredFace
    package init(score: Float, face: StoredFace) {
        self.score = score
        self.face = face
    }
}

package struct ShardSearchAnswer: Sendable {
    /// In `Match.precedes` order.
    package var candidates: [ShardCandidate]
    package var facesScored: Int
    package var lsn: LogIndex
    package init(candidates: [ShardCandidate], facesScored: Int, lsn: LogIndex) {
        self.candidates = candidates
        self.facesScored = facesScored
        self.lsn = lsn
    }
}

package struct FacePage: Sendable {
    /// In FaceID order, all greater than the `after` asked for.
    package var faces: [StoredFace]
    /// True when faces beyond the last one exist.
    package var more: Bool
    package init(faces: [StoredFace], more: Bool) {
        self.faces = faces
        self.more = more
    }
}

package struct ShardStatistics: Hashable, Sendable {
    package var faces: Int
    package var segments: Int
    package var bufferedFaces: Int
    package var residentBytes: Int
    package var diskBytes: Int
    package var lsn: LogIndex
    /// Missing while the shard takes writes; else why not ("disk full").
    package var writesRefused: String?
    package init(
        faces: Int, segments: Int, bufferedFaces: Int, residentBytes: Int, diskBytes: Int, lsn: LogIndex,
        writesRefused: String?
    ) {
        self.faces = faces
        self.segments = segments
        self.bufferedFaces = bufferedFaces
        self.residentBytes = residentBytes
        self.diskBytes = diskBytes
        self.lsn = lsn
        self.writesRefused = writesRefused
    }
}

package enum ShardError: Error, Hashable, Sendable {
    case unknownShard(ShardID)
    case wrongDimension(expected: Int, got: Int)
    /// The disk is full or the inbox is; the same request may succeed later.
    case writesRefused(ShardID, reason: String)
    /// A checksum failed or a file is missing: never answered from until an operator acts.
    case damaged(ShardID, reason: String)
    /// The write may or may not have happened; the log stopped before it could tell.
    case stopped(ShardID, reason: String)
    case deadlineExceeded(ShardID)
}

/// A node's shards as a coordinator reaches them: in process when embedded, over the wire in a cluster.
package protocol ShardService: Sendable {
    /// Opens the node's copy of the shard, or makes an empty one; harmless when it is open.
    func open(_ descriptor: ShardDescriptor) async throws(ShardError)
    /// Closes the copy and removes its files.
    func drop(_ shard: ShardID) async throws(ShardError)
    /// Returns when every face is durable and visible to every later search.
    func enrol(_ faces: [NewFace], in shard: ShardID) async throws(ShardError) -> EnrolOutcome
    func delete(_ faces: [FaceID], in shard: ShardID, token: RequestToken) async throws(ShardError) -> DeleteOutcome
    func search(_ search: ShardSearch, in shard: ShardID) async throws(ShardError) -> ShardSearchAnswer
    /// The faces of `ids` that exist, in FaceID order.
    func faces(_ ids: [FaceID], in shard: ShardID) async throws(ShardError) -> [StoredFace]
    func vector(_ id: FaceID, in shard: ShardID) async throws(ShardError) -> RotatedVector?
    func list(after: FaceID?, limit: Int, in shard: ShardID) async throws(ShardError) -> FacePage
    func statistics(_ shard: ShardID) async throws(ShardError) -> ShardStatistics
}
