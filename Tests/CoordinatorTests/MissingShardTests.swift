import AuditLedger
import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// What clients and the ledger are told when shards give no answer.
@Suite struct MissingShardTests {
    typealias Cluster = ClusterTests.Cluster

    /// One shard of the map fails every call of these operations.
    private func broken(
        _ operations: Set<FlakyShards.Operation>, _ fault: FlakyShards.Fault, shard: Int = 2
    ) async throws -> (Cluster, MissingShard) {
        let cluster = try await ClusterTests.cluster()
        let place = try await cluster.map().shards[shard]
        cluster.bench.shards.breakCalls { operation, call in
            operations.contains(operation) && call.shard == place.id ? fault : nil
        }
        return (cluster, MissingShard(shard: place.id, node: place.node, reason: .busy(place.id, reason: "queue")))
    }

    private static func busy(_ shard: ShardID) -> ShardError { .busy(shard, reason: "queue") }

    private func result(_ cluster: Cluster) throws -> SearchResult {
        guard case .result(let result)? = cluster.bench.ledger.entries.last else {
            throw LedgerError.damaged(reason: "no result on record")
        }
        return result
    }

    @Test func withoutLeaveASearchThatMissesAShardIsAnErrorThatNamesIt() async throws {
        let cluster = try await ClusterTests.cluster()
        let place = try await cluster.map().shards[2]
        cluster.bench.shards.breakCalls { operation, call in
            operation == .search && call.shard == place.id ? .fail(Self.busy(place.id)) : nil
        }
        let missing = MissingShard(shard: place.id, node: place.node, reason: Self.busy(place.id))
        await #expect(throws: CoordinatorError.incomplete(asked: 4, answered: 3, missing: [missing])) {
            try await cluster.search()
        }
        let record = try result(cluster)
        #expect(record.outcome == .failed(code: "shards-missing"))
        #expect(record.shardsAsked == 4 && record.shardsAnswered == 3 && record.candidates.isEmpty)
        #expect("\(missing)" == "shard \(place.id) on node \(place.node): is busy: queue")
    }

    @Test func withLeaveItIsAPartialAnswerThatSaysSo() async throws {
        let cluster = try await ClusterTests.cluster()
        let whole = try await cluster.search()
        let place = try await cluster.map().shards[2]
        cluster.bench.shards.breakCalls { operation, call in
            operation == .search && call.shard == place.id ? .fail(Self.busy(place.id)) : nil
        }
        let answer = try await cluster.search(cluster.bench.context(partial: true))
        #expect(answer.coverage.shardsAnswered == 3 && answer.coverage.shardsAsked == 4)
        #expect(answer.coverage.facesScored < whole.coverage.facesScored && answer.coverage.facesScored > 0)
        #expect(answer.missing.map(\.shard) == [place.id] && answer.missing.map(\.node) == [place.node])
        #expect(!answer.candidates.isEmpty)
        let record = try result(cluster)
        #expect(record.outcome == .answered && record.shardsAsked == 4 && record.shardsAnswered == 3)
        #expect(record.facesScored == answer.coverage.facesScored)
        #expect(record.candidates.map(\.face) == answer.candidates.map(\.face.id))
    }

    @Test func aPartialAnswerWithoutCandidatesIsNoAnswer() async throws {
        let cluster = try await ClusterTests.cluster()
        let place = try await cluster.map().shards[0]
        cluster.bench.shards.breakCalls { operation, call in
            operation == .search && call.shard == place.id ? .fail(Self.busy(place.id)) : nil
        }
        let missing = MissingShard(shard: place.id, node: place.node, reason: Self.busy(place.id))
        await #expect(throws: CoordinatorError.incomplete(asked: 4, answered: 3, missing: [missing])) {
            try await cluster.index.searchFaces(
                byVector: ClusterTests.vectors(1, seed: 9)[0], limit: 10, threshold: .cosine(0.99),
                collection: cluster.name, in: cluster.bench.context(partial: true))
        }
        #expect(try result(cluster).outcome == .failed(code: "shards-missing"))
    }

    @Test func noShardAtAllIsAnErrorWithLeaveToo() async throws {
        let cluster = try await ClusterTests.cluster()
        cluster.bench.shards.breakCalls { operation, call in
            operation == .search ? .fail(.stopped(call.shard, reason: "log")) : nil
        }
        let error = await #expect(throws: CoordinatorError.self) {
            try await cluster.search(cluster.bench.context(partial: true))
        }
        guard case .incomplete(4, 0, let missing)? = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(missing.count == 4)
    }

    @Test func aShardThatHangsIsNamedAtTheDeadline() async throws {
        let cluster = try await ClusterTests.cluster()
        let place = try await cluster.map().shards[1]
        cluster.bench.shards.silence([place.node])
        let missing = MissingShard(shard: place.id, node: place.node, reason: .deadlineExceeded(place.id))
        await #expect(throws: CoordinatorError.incomplete(asked: 4, answered: 3, missing: [missing])) {
            try await cluster.search(cluster.bench.context(within: .seconds(1)))
        }
        let answer = try await cluster.search(cluster.bench.context(within: .seconds(1), partial: true))
        #expect(answer.missing == [missing])
        cluster.bench.shards.heal()
        #expect(try await cluster.search().missing.isEmpty)
    }

    @Test func garbageIsNoAnswer() async throws {
        let cluster = try await ClusterTests.cluster()
        let place = try await cluster.map().shards[3]
        cluster.bench.shards.replace(place.node, by: LyingNode())
        let error = await #expect(throws: CoordinatorError.self) { try await cluster.search() }
        guard case .incomplete(4, 3, let missing)? = error,
            case .damaged(_, let reason)? = missing.first?.reason
        else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(reason.contains("makes no sense"))
    }

    @Test func listsCountsAndDeletesAreNeverShort() async throws {
        let faults: [FlakyShards.Fault] = [.hang, .fail(.damaged(ShardID(Bits128(high: 0, low: 0)), reason: "block"))]
        for fault in faults {
            let (cluster, expected) = try await broken([.list, .faces, .delete, .statistics, .vector], fault)
            func check(writing: Bool = false, _ body: (CallContext) async throws -> Void) async throws {
                let context = try cluster.bench.context(within: .seconds(1), partial: true)
                let error = await #expect(throws: CoordinatorError.self) { try await body(context) }
                switch error {
                case .incomplete(4, 3, let missing)? where !writing, .incompleteWrite(4, 3, let missing)? where writing:
                    #expect(missing.map(\.shard) == [expected.shard] && missing.map(\.node) == [expected.node])
                default: #expect(Bool(false), "\(String(describing: error))")
                }
            }
            let stranger = FaceID(Bits128(high: 0, low: 5))
            try await check { context in
                _ = try await cluster.index.listFaces(
                    collection: cluster.name, only: nil, after: nil, limit: 5, in: context)
            }
            try await check { context in
                _ = try await cluster.index.listFaces(
                    collection: cluster.name, only: [stranger], after: nil, limit: 5, in: context)
            }
            try await check { context in
                _ = try await cluster.index.describeCollection(cluster.name, in: context)
            }
            try await check { context in
                _ = try await cluster.index.searchFaces(
                    like: stranger, limit: 5, threshold: .cosine(-1), collection: cluster.name, in: context)
            }
            try await check(writing: true) { context in
                _ = try await cluster.index.deleteFaces([stranger], collection: cluster.name, in: context)
            }
        }
    }

    @Test func aFaceThatOneShardHasIsFoundWithoutTheOthers() async throws {
        let cluster = try await ClusterTests.cluster()
        let face = cluster.faces[0].id
        let places = try await cluster.map().shards
        // Whichever shard has the face, two of the others stand still.
        for place in places[2...] {
            cluster.bench.shards.breakCalls { operation, call in
                operation == .vector && call.shard == place.id ? .hang : nil
            }
            let answer = try? await cluster.index.searchFaces(
                like: face, limit: 5, threshold: .cosine(-1), collection: cluster.name,
                in: cluster.bench.context(within: .seconds(1)))
            let holder = try await holder(of: face, cluster)
            #expect((answer != nil) == (holder != place.id))
        }
    }

    private func holder(of face: FaceID, _ cluster: Cluster) async throws -> ShardID? {
        cluster.bench.shards.heal()
        let context = try cluster.bench.context()
        for shard in try await cluster.map().shards {
            if try await cluster.bench.shards.vector(face, context.scope.call(shard)) != nil { return shard.id }
        }
        return nil
    }

    @Test func anEnrolmentThatOneShardRefusedIsCompletedByARetry() async throws {
        let faults: [FlakyShards.Fault] = [
            .fail(.writesRefused(ShardID(Bits128(high: 0, low: 0)), reason: "disk full")), .loseAnswer, .hang,
        ]
        for fault in faults {
            let (cluster, expected) = try await broken([.enrol], fault)
            let vectors = ClusterTests.vectors(40, seed: 77)
            let error = await #expect(throws: CoordinatorError.self) {
                try await cluster.enrol(vectors, in: cluster.bench.context(within: .seconds(1)))
            }
            guard case .incompleteWrite(4, 3, let missing)? = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(missing.map(\.shard) == [expected.shard])
            cluster.bench.shards.heal()
            let ids = try await cluster.enrol(vectors).map(\.id)
            #expect(Set(ids).count == 40)
            #expect(try await cluster.enrol(vectors).map(\.id) == ids)
            let count = try await cluster.index.describeCollection(cluster.name, in: cluster.bench.context()).faceCount
            #expect(count == 80)
        }
    }

    @Test func aFaceIsEnrolledWithoutTheShardsItDoesNotTouch() async throws {
        let cluster = try await ClusterTests.cluster()
        _ = try await cluster.enrol([ClusterTests.vectors(1, seed: 50)[0]])
        let touched = cluster.bench.shards.calls.map(\.call.shard)
        #expect(touched.count == 1)
        cluster.bench.shards.breakCalls { _, call in touched.contains(call.shard) ? nil : .hang }
        _ = try await cluster.enrol([ClusterTests.vectors(1, seed: 50)[0]])
    }

    @Test func aLedgerThatRefusesHidesThePartialAnswer() async throws {
        let (cluster, _) = try await broken([.search], .hang)
        cluster.bench.ledger.refuse("disk full")
        await #expect(throws: CoordinatorError.ledger(.refusing(reason: "disk full"))) {
            try await cluster.search(cluster.bench.context(within: .seconds(1), partial: true))
        }
    }
}

/// A node whose candidates are in no order.
private final class LyingNode: ShardService {
    func search(_ searches: [ShardSearch], _ call: ShardCall) async throws(ShardError) -> [ShardSearchAnswer] {
        searches.map { _ in
            ShardSearchAnswer(
                candidates: [Fixture.candidate(1, 0.1), Fixture.candidate(2, 0.9)], facesScored: 2, buckets: 1,
                at: .zero, tree: .zero)
        }
    }
    func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        throw .unknownShard(call.shard)
    }
    func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] { [] }
    func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError) {}
    func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) {}
    func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        throw .unknownShard(call.shard)
    }
    func drop(_ call: ShardCall) async throws(ShardError) {}
    func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        throw .unknownShard(call.shard)
    }
    func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome { throw .unknownShard(call.shard) }
    func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        FacePage(faces: [], more: false, at: .zero)
    }
    func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? { nil }
    func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        throw .unknownShard(call.shard)
    }
    func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics { throw .unknownShard(call.shard) }
    func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics { throw NodeError(node: node, reason: "none") }
    func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] { throw NodeError(node: node, reason: "none") }
}
