import ClusterModel
import FaceModel
import Foundation

/// A request to a shard as the node hands it on.
enum ShardRequest: Sendable {
    case open(ShardDescriptor, OpenMode)
    case drop
    case retire(ReplicaID)
    case split(SplitStep)
    case enrol([NewFace])
    case delete([FaceID], token: RequestToken)
    case search([ShardSearch])
    case buckets(after: LeafID?, limit: Int)
    case sample(SampleRequest)
    case faces([FaceID])
    case vector(FaceID)
    case list(after: FaceID?, limit: Int)
    case statistics
}

extension WireShardCall {
    /// Nil when no time is left.
    init?(_ call: ShardCall, now: ContinuousClock.Instant) {
        guard let remaining = FieldBytes.remaining(until: call.deadline, now: now) else { return nil }
        self.init()
        shard = FieldBytes.id(call.shard)
        roots = call.roots.map(\.value)
        remainingMilliseconds = remaining
        requestID = FieldBytes.id(call.request)
        switch call.level {
        case .strong: break
        case .session(let position): session = WirePosition(position)
        case .bounded(let milliseconds): boundedMilliseconds = UInt64(milliseconds)
        }
    }

    /// `node` is the one that reads it: the map that named it is the asker's affair.
    func domain(node: NodeID, now: ContinuousClock.Instant) throws(BodyError) -> ShardCall {
        ShardCall(
            shard: try Fields.id(shard, "call.shard"), node: node, roots: try Fields.roots(roots, "call.roots"),
            deadline: try Fields.deadline(remainingMilliseconds, "call.remaining_milliseconds", now: now),
            request: try Fields.id(requestID, "call.request_id"), level: try readLevel())
    }

    private func readLevel() throws(BodyError) -> ReadLevel {
        switch level {
        case nil: return .strong
        case .session(let position): return .session(try position.domain("call.session"))
        case .boundedMilliseconds(let bound):
            guard bound <= Limits.readBoundMillisecondsMax else {
                throw BodyError("call.bounded_milliseconds", "\(bound); at most \(Limits.readBoundMillisecondsMax)")
            }
            return .bounded(milliseconds: Int(bound))
        }
    }
}

extension WirePosition {
    init(_ position: ShardPosition) {
        self.init()
        generation = position.generation.value
        lsn = position.lsn.value
    }

    func domain(_ field: String) throws(BodyError) -> ShardPosition {
        ShardPosition(Generation(generation), LogIndex(try Fields.position(lsn, "\(field).lsn")))
    }
}

extension WireCall {
    /// Nil when no time is left.
    init?(request: RequestID, deadline: ContinuousClock.Instant, now: ContinuousClock.Instant) {
        guard let remaining = FieldBytes.remaining(until: deadline, now: now) else { return nil }
        self.init()
        remainingMilliseconds = remaining
        requestID = FieldBytes.id(request)
    }

    func domain(
        now: ContinuousClock.Instant
    ) throws(BodyError) -> (request: RequestID, deadline: ContinuousClock.Instant) {
        (
            try Fields.id(requestID, "call.request_id"),
            try Fields.deadline(remainingMilliseconds, "call.remaining_milliseconds", now: now)
        )
    }
}

extension WireOpenRequest {
    private static let keyBytes = 32

    init(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: WireShardCall) {
        self.init()
        self.call = call
        tenant = descriptor.tenant.text
        collection = FieldBytes.id(descriptor.collection)
        dimension = UInt32(descriptor.dimension)
        modelVersion = descriptor.modelVersion
        idKey = Data(descriptor.idKey)
        roots = descriptor.roots.map(\.value)
        making = mode == .making
        joining = mode == .joining
        replica = FieldBytes.id(descriptor.replica)
    }

    func domain(shard: ShardID) throws(BodyError) -> ShardRequest {
        guard let tenant = TenantID(tenant) else { throw BodyError("tenant", "no account of 12 digits") }
        try Fields.dimension(Int(dimension), "dimension")
        guard idKey.count == Self.keyBytes else { throw BodyError("id_key", "\(idKey.count) bytes; a key has 32") }
        let descriptor = ShardDescriptor(
            tenant: tenant, collection: try Fields.id(collection, "collection"), shard: shard,
            replica: try Fields.id(replica, "replica"), dimension: Int(dimension),
            modelVersion: try Fields.text(modelVersion, "model_version", max: Limits.headerTextBytesMax),
            idKey: Array(idKey), roots: try Fields.roots(roots, "roots"))
        guard !making || !joining else { throw BodyError("joining", "a copy of a shard that is being made") }
        return .open(descriptor, making ? .making : joining ? .joining : .existing)
    }
}

extension WireEnrolRequest {
    /// Every vector has the dimension of the first; another is the asker's own bug.
    init(_ faces: [NewFace], _ call: WireShardCall) {
        self.init()
        self.call = call
        self.faces = WireFaces(faces)
        dimension = UInt32(faces.first?.vector.dimension ?? 0)
        vectors = FieldBytes.vectors(faces.map(\.vector))
        tokens = FieldBytes.ids(faces.map(\.token))
    }

    func domain() throws(BodyError) -> ShardRequest {
        var columns = try FaceColumnsReader(self.faces, "faces", max: Limits.vectorsPerRequestMax)
        let count = columns.count
        let tokens = try Fields.ids(tokens, "tokens", max: count, RequestToken.self)
        guard tokens.count == count else { throw BodyError("tokens", "\(tokens.count) of \(count) faces") }
        let vectors = try Fields.vectors(vectors, "vectors", count: count, dimension: dimension)
        var faces: [NewFace] = []
        faces.reserveCapacity(count)
        for (vector, token) in zip(vectors, tokens) {
            let name = try columns.nextName()
            faces.append(
                NewFace(vector: vector, externalImageID: name, record: try columns.nextRecord(), token: token))
        }
        try columns.end()
        return .enrol(faces)
    }
}

extension WireDeleteRequest {
    init(_ faces: [FaceID], token: RequestToken, _ call: WireShardCall) {
        self.init()
        self.call = call
        self.faces = FieldBytes.ids(faces)
        self.token = FieldBytes.id(token)
    }

    func domain() throws(BodyError) -> ShardRequest {
        .delete(
            try Fields.ids(faces, "faces", max: Limits.deleteFacesMax), token: try Fields.id(token, "token"))
    }
}

extension WireFacesRequest {
    init(_ ids: [FaceID], _ call: WireShardCall) {
        self.init()
        self.call = call
        self.ids = FieldBytes.ids(ids)
    }

    func domain() throws(BodyError) -> ShardRequest {
        .faces(try Fields.ids(ids, "ids", max: Limits.pageSizeMax))
    }
}

extension WireVectorRequest {
    init(_ face: FaceID, _ call: WireShardCall) {
        self.init()
        self.call = call
        self.face = FieldBytes.id(face)
    }

    func domain() throws(BodyError) -> ShardRequest { .vector(try Fields.id(face, "face")) }
}

extension WireListRequest {
    init(after: FaceID?, limit: Int, _ call: WireShardCall) {
        self.init()
        self.call = call
        self.after = after.map { FieldBytes.id($0) } ?? Data()
        self.limit = UInt32(limit)
    }

    func domain() throws(BodyError) -> ShardRequest {
        .list(
            after: after.isEmpty ? nil : try Fields.id(after, "after", FaceID.self),
            limit: try Fields.limit(limit, "limit", 1...Limits.pageSizeMax + 1))
    }
}
