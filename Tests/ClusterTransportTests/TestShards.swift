import FaceModel
import Synchronization

@testable import ClusterModel

/// A node's shards as a test wants them: every call is recorded and answered by one closure a method.
final class TestShards: ShardService {
    struct Answers: Sendable {
        var search: @Sendable (ShardSearch, ShardCall) async throws(ShardError) -> ShardSearchAnswer = { _, _ in
            ShardSearchAnswer(
                candidates: [], facesScored: 7, buckets: 2, at: ShardPosition(Generation(1), LogIndex(3)),
                tree: LogIndex(2))
        }
        var enrol: @Sendable ([NewFace], ShardCall) async throws(ShardError) -> EnrolOutcome = { faces, _ in
            EnrolOutcome(
                faces: faces.indices.map { FaceID(Bits128(high: 1, low: UInt64($0))) },
                at: ShardPosition(Generation(0), LogIndex(1)))
        }
        var vector: @Sendable (FaceID, ShardCall) async throws(ShardError) -> RotatedVector? = { _, _ in nil }
        var open: @Sendable (ShardDescriptor, OpenMode, ShardCall) async throws(ShardError) -> Void = { _, _, _ in }
        var statistics: @Sendable (ShardCall) async throws(ShardError) -> ShardStatistics = { _ in
            ShardStatistics(
                faces: 1, segments: 2, bufferedFaces: 3, residentBytes: 4, diskBytes: 5, lsn: LogIndex(6),
                writesRefused: "disk full")
        }
        var node: @Sendable (NodeID) async throws(NodeError) -> NodeStatistics = { _ in
            NodeStatistics(
                version: "1", uptimeSeconds: 2, shards: 3, damagedShards: 4, faces: 5, residentBytes: 6,
                capacityBytes: 7, diskFreeBytes: 8, diskTotalBytes: 9)
        }
        var held: @Sendable (NodeID, ShardID?) async throws(NodeError) -> [HeldCopy] = { _, _ in [] }
    }

    private let answers: Mutex<Answers>
    private let log = Mutex<[ShardCall]>([])

    init(_ answers: Answers = Answers()) { self.answers = Mutex(answers) }

    var calls: [ShardCall] { log.withLock { $0 } }

    private func next(_ call: ShardCall) -> Answers {
        log.withLock { $0.append(call) }
        return answers.withLock { $0 }
    }

    func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError) {
        try await next(call).open(descriptor, mode, call)
    }
    func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) { _ = next(call) }
    func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        _ = next(call)
        return SplitProgress(stage: .whole)
    }
    func drop(_ call: ShardCall) async throws(ShardError) { _ = next(call) }
    func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        try await next(call).enrol(faces, call)
    }
    func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome {
        _ = next(call)
        return DeleteOutcome(deleted: faces, notFound: [], at: ShardPosition(Generation(2), LogIndex(token.bits.low)))
    }
    func search(_ searches: [ShardSearch], _ call: ShardCall) async throws(ShardError) -> [ShardSearchAnswer] {
        let answers = next(call)
        var found: [ShardSearchAnswer] = []
        for search in searches { found.append(try await answers.search(search, call)) }
        return found
    }
    func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        _ = next(call)
        return BucketPage(tree: LogIndex(2), buckets: [.sample(9), .sample(300)], more: after != nil)
    }
    func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] {
        _ = next(call)
        return [.sample(1), .sample(2)]
    }
    func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        _ = next(call)
        let faces = ids.sorted().map {
            StoredFace(id: $0, externalImageID: nil, record: FaceRecord(imageID: nil, detail: nil))
        }
        return FacePage(faces: faces, more: false, at: .zero)
    }
    func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? {
        try await next(call).vector(id, call)
    }
    func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        _ = next(call)
        return FacePage(faces: [], more: after != nil, at: ShardPosition(Generation(3), LogIndex(8)))
    }
    func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics {
        try await next(call).statistics(call)
    }
    func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics {
        try await answers.withLock { $0 }.node(node)
    }
    func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] { try await answers.withLock { $0 }.held(node, shard) }
}

extension Bucket {
    static func sample(_ leaf: UInt32) -> Bucket {
        Bucket(leaf: LeafID(leaf), faces: 5, centroid: leaf.isMultiple(of: 2) ? .sample : nil)
    }
}

extension SampledFace {
    static func sample(_ number: UInt64) -> SampledFace {
        SampledFace(
            id: FaceID(Bits128(high: 0, low: number)), vector: .sample, bucket: .root,
            externalImageID: ExternalImageID("a:b"), imageID: ImageID(Bits128(high: 9, low: number)))
    }
}
