package import FaceModel

/// Everything a node must know to open its copy of a shard, or to make an empty one.
package struct ShardDescriptor: Hashable, Sendable {
    package var tenant: TenantID
    package var collection: CollectionUID
    package var shard: ShardID
    /// The copy that the node holds.
    package var replica: ReplicaID
    package var dimension: Int
    package var modelVersion: String
    /// Key of the HMAC that makes FaceIds (32 bytes); never written to disk by the shard.
    package var idKey: [UInt8]
    /// The subtree roots an empty shard is made with; a shard that exists keeps its own.
    package var roots: [LeafID]
    package init(
        tenant: TenantID, collection: CollectionUID, shard: ShardID, replica: ReplicaID, dimension: Int,
        modelVersion: String, idKey: [UInt8], roots: [LeafID]
    ) {
        self.tenant = tenant
        self.collection = collection
        self.shard = shard
        self.replica = replica
        self.dimension = dimension
        self.modelVersion = modelVersion
        self.idKey = idKey
        self.roots = roots
    }
}

/// What a read must see. Writes are ordered by the log, and take no notice of it.
package enum ReadLevel: Hashable, Sendable {
    /// Everything acknowledged before it was asked: the copy that decides answers, once all in sync have confirmed it.
    case strong
    /// At least this much: any copy answers once it has applied as much.
    case session(ShardPosition)
    /// Everything acknowledged up to so many milliseconds before: any copy answers whose primary has told it.
    case bounded(milliseconds: Int)
}

/// What every request to a shard carries beside its question.
package struct ShardCall: Hashable, Sendable {
    package var shard: ShardID
    /// The node that holds the shard, as the map says.
    package var node: NodeID
    /// The subtree roots that the caller believes the shard owns; another answer than exactly those is `wrongOwner`.
    package var roots: [LeafID]
    /// Nobody waits for the answer after this: work for it ends then too, a scan at its next block.
    package var deadline: ContinuousClock.Instant
    package var request: RequestID
    package var level: ReadLevel
    package init(
        shard: ShardID, node: NodeID, roots: [LeafID], deadline: ContinuousClock.Instant, request: RequestID,
        level: ReadLevel = .strong
    ) {
        self.shard = shard
        self.node = node
        self.roots = roots
        self.deadline = deadline
        self.request = request
        self.level = level
    }
}

/// Whether `open` may make files where there are none.
package enum OpenMode: Hashable, Sendable {
    case existing
    /// Only while the collection's map says that its shards are not made yet.
    case making
    /// Only by who has just named the copy in the shard's register, for the first time: it begins empty, and learns from
    /// the others what it is to hold.
    case joining
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
    package var at: ShardPosition
    package init(faces: [FaceID], at: ShardPosition) {
        self.faces = faces
        self.at = at
    }
}

package struct DeleteOutcome: Hashable, Sendable {
    package var deleted: [FaceID]
    package var notFound: [FaceID]
    package var at: ShardPosition
    package init(deleted: [FaceID], notFound: [FaceID], at: ShardPosition) {
        self.deleted = deleted
        self.notFound = notFound
        self.at = at
    }
}

package struct ShardSearch: Sendable {
    package var query: RotatedVector
    /// At most this many, 1...`Limits.candidatesMax` + 1 (one more when the probe itself will be dropped).
    package var limit: Int
    /// Inclusive.
    package var minScore: Float
    /// Standard errors within which estimates from bit planes are trusted: above 0, infinity for certain bounds.
    package var sigmas: Double
    /// The buckets whose faces are compared, at most `Limits.bucketsPerSearchMax`; nil for every face. A bucket that was
    /// split since stands for all that came of it; one that the shard's tree does not know is ignored.
    package var buckets: [LeafID]?
    package init(query: RotatedVector, limit: Int, minScore: Float, sigmas: Double, buckets: [LeafID]? = nil) {
        self.query = query
        self.limit = limit
        self.minScore = minScore
        self.sigmas = sigmas
        self.buckets = buckets
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
    /// Buckets whose faces were compared.
    package var buckets: Int
    package var at: ShardPosition
    /// Log position of the last split of a bucket that the shard has applied; zero before the first.
    package var tree: LogIndex
    package init(
        candidates: [ShardCandidate], facesScored: Int, buckets: Int, at: ShardPosition, tree: LogIndex
    ) {
        self.candidates = candidates
        self.facesScored = facesScored
        self.buckets = buckets
        self.at = at
        self.tree = tree
    }
}

/// A leaf of a shard's tree.
package struct Bucket: Hashable, Sendable {
    package var leaf: LeafID
    /// Live faces in it, about.
    package var faces: Int
    /// Mean direction of the faces it was made of; nil for a root that was never split.
    package var centroid: RotatedVector?
    package init(leaf: LeafID, faces: Int, centroid: RotatedVector?) {
        self.leaf = leaf
        self.faces = faces
        self.centroid = centroid
    }
}

/// Some of a shard's buckets. Pages that are read while buckets split still cover the shard: what comes of a split has
/// greater ids than every bucket before.
package struct BucketPage: Hashable, Sendable {
    /// As `ShardSearchAnswer.tree`.
    package var tree: LogIndex
    /// By rising id, all greater than the `after` asked for.
    package var buckets: [Bucket]
    /// True when buckets beyond the last one exist.
    package var more: Bool
    package init(tree: LogIndex, buckets: [Bucket], more: Bool) {
        self.tree = tree
        self.buckets = buckets
        self.more = more
    }
}

/// Asks for about one in `every` of a shard's live faces: those whose ExternalImageId (else whose FaceId) has a CRC-32C,
/// of its UTF-8 (else of its 16 bytes), that `every` divides. Faces of one ExternalImageId come together or not at all.
package struct SampleRequest: Hashable, Sendable {
    /// At least 1.
    package var every: UInt32
    /// At most this many, 1...`Limits.sampleFacesMax`, the first by FaceId.
    package var limit: Int
    package init(every: UInt32, limit: Int) {
        self.every = every
        self.limit = limit
    }
}

package struct SampledFace: Hashable, Sendable {
    package var id: FaceID
    package var vector: RotatedVector
    /// The leaf it stands under.
    package var bucket: LeafID
    package var externalImageID: ExternalImageID?
    package var imageID: ImageID?
    package init(
        id: FaceID, vector: RotatedVector, bucket: LeafID, externalImageID: ExternalImageID?, imageID: ImageID?
    ) {
        self.id = id
        self.vector = vector
        self.bucket = bucket
        self.externalImageID = externalImageID
        self.imageID = imageID
    }
}

package struct FacePage: Sendable {
    /// In FaceID order, all greater than the `after` asked for.
    package var faces: [StoredFace]
    /// True when faces beyond the last one exist.
    package var more: Bool
    package var at: ShardPosition
    package init(faces: [StoredFace], more: Bool, at: ShardPosition) {
        self.faces = faces
        self.more = more
        self.at = at
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

/// A node as it sees itself.
package struct NodeStatistics: Hashable, Sendable {
    package var version: String
    package var uptimeSeconds: Int
    /// Shards open; and those that are damaged.
    package var shards: Int
    package var damagedShards: Int
    package var faces: Int
    /// Memory of the process, and what its shards may take.
    package var residentBytes: Int
    package var capacityBytes: Int
    package var diskFreeBytes: Int
    package var diskTotalBytes: Int
    package init(
        version: String, uptimeSeconds: Int, shards: Int, damagedShards: Int, faces: Int, residentBytes: Int,
        capacityBytes: Int, diskFreeBytes: Int, diskTotalBytes: Int
    ) {
        self.version = version
        self.uptimeSeconds = uptimeSeconds
        self.shards = shards
        self.damagedShards = damagedShards
        self.faces = faces
        self.residentBytes = residentBytes
        self.capacityBytes = capacityBytes
        self.diskFreeBytes = diskFreeBytes
        self.diskTotalBytes = diskTotalBytes
    }
}

package enum ShardError: Error, Hashable, Sendable {
    /// The node has not opened this shard since it started.
    case unknownShard(ShardID)
    case wrongDimension(expected: Int, got: Int)
    /// The shard owns other subtrees than the caller believes: the caller's map is old, or newer than the shard.
    case wrongOwner(ShardID, owned: [LeafID])
    /// Another copy decides for the shard, or none now; nothing was done. The shard's register says which: ask that one.
    case notPrimary(ShardID)
    /// The copy that decides for the shard may not answer now, because too few others have confirmed it; nothing was
    /// done, the same request may succeed soon.
    case notServing(ShardID, reason: String)
    /// Another copy took over while the write was under way: it may or may not have happened.
    case interrupted(ShardID)
    /// The disk is full; the same request may succeed later.
    case writesRefused(ShardID, reason: String)
    /// A queue on the way is full; nothing was begun, the same request may succeed later.
    case busy(ShardID, reason: String)
    /// A checksum failed or files are missing: never answered from until an operator acts.
    case damaged(ShardID, reason: String)
    /// The write may or may not have happened; the log stopped before it could tell.
    case stopped(ShardID, reason: String)
    case deadlineExceeded(ShardID)
    /// No answer from the node. `outcomeUnknown`: the request had left, so a write may have happened.
    case unreachable(ShardID, node: NodeID, reason: String, outcomeUnknown: Bool)
}

/// A node that says nothing of itself, and why.
package struct NodeError: Error, Hashable, Sendable {
    package var node: NodeID
    package var reason: String
    package init(node: NodeID, reason: String) {
        self.node = node
        self.reason = reason
    }
}

/// The shards of a cluster as a coordinator reaches them: in process when embedded, over the wire in a cluster. A node
/// offers the same for its own shards and ignores `ShardCall.node`.
package protocol ShardService: Sendable {
    /// Opens the node's copy of the shard; harmless when it is open. `call.roots` are not compared.
    func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError)
    /// Closes the copy and removes its files; harmless when there is none. `call.roots` are not compared.
    func drop(_ call: ShardCall) async throws(ShardError)
    /// Has a copy leave the in-sync set, as the node's copy, the primary, sees to; the primary itself has another chosen
    /// in its place. Returns once that has begun: where too few would be left it waits for another to join.
    /// `call.roots` are not compared.
    func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError)
    /// A step of splitting the shard, and how far the node's copy is then. `call.roots` are compared by steps that write.
    func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress
    /// Returns when every face is durable and visible to every later search.
    func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome
    func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome
    /// 1...`Limits.searchesPerRequestMax` searches, answered in order and from one state of the shard.
    func search(_ searches: [ShardSearch], _ call: ShardCall) async throws(ShardError) -> [ShardSearchAnswer]
    /// The leaves of the shard's tree after `after`, at most `limit`, 1...`Limits.bucketsPageMax`.
    func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage
    /// In FaceID order.
    func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace]
    /// The faces of `ids` that exist.
    func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage
    func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector?
    func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage
    func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics
    func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics
    /// The copies on the node's disk, whatever the registers say of them, the ledger's among them; of one shard, or of
    /// all. Copies that are not open are read for it, which takes a while.
    func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy]
}
