import ClusterModel
import FaceModel
import Synchronization
import TestBench
import Testing

@testable import Coordinator

/// Every operation that asks shards, against every fault of one of them.
@Suite struct EveryOperationTests {
    private typealias Cluster = ClusterTests.Cluster

    /// What an operation gives, in a form that can be compared.
    private static func outcome(
        _ operation: FlakyShards.Operation, _ cluster: ClusterTests.Cluster, _ context: CallContext
    ) async throws -> [String] {
        let (index, name, faces) = (cluster.index, cluster.name, cluster.faces)
        switch operation {
        case .enrol: return try await cluster.enrol(ClusterTests.vectors(40, seed: 1), in: context).map { "\($0.id)" }
        case .delete:
            let some = [faces[1].id, FaceID(Bits128(high: 0, low: 1)), faces[9].id]
            let answer = try await index.deleteFaces(some, collection: name, in: context)
            return answer.deleted.map { "\($0)" } + ["and not"] + answer.notFound.map { "\($0)" }
        case .search:
            let answer = try await cluster.search(context)
            return answer.candidates.map { "\($0.face.id) \($0.cosine.bitPattern)" }
        case .vector:
            let answer = try await index.searchFaces(
                like: faces[3].id, limit: 5, threshold: .cosine(-1), collection: name, in: context)
            return answer.candidates.map { "\($0.face.id)" }
        case .faces:
            let page = try await index.listFaces(
                collection: name, only: faces[5..<20].map(\.id), after: nil, limit: 9, in: context)
            return page.faces.map { "\($0.id)" } + [page.nextToken ?? "no more"]
        case .list:
            let page = try await index.listFaces(collection: name, only: nil, after: nil, limit: 9, in: context)
            return page.faces.map { "\($0.id)" } + [page.nextToken ?? "no more"]
        case .statistics: return ["\(try await index.describeCollection(name, in: context).faceCount)"]
        case .open, .drop, .retire, .split, .buckets, .sample: return []
        }
    }

    /// Gives its fault to the first calls only.
    private final class Times: Sendable {
        private let left: Mutex<Int>
        init(_ count: Int) { left = Mutex(count) }
        func take() -> Bool {
            left.withLock { left in
                left -= 1
                return left >= 0
            }
        }
    }

    private static let asking = FlakyShards.Operation.allCases.filter {
        ![.open, .drop, .retire, .split, .buckets, .sample].contains($0)
    }

    @Test(arguments: asking) func whatPassesIsNotSeen(_ operation: FlakyShards.Operation) async throws {
        let cluster = try await ClusterTests.cluster()
        if operation == .delete { return try await deletionsPass(cluster) }
        let expected = try await Self.outcome(operation, cluster, cluster.bench.context())
        for place in try await cluster.map().shards {
            for fault in [ShardError.unknownShard(place.id), .wrongOwner(place.id, owned: [LeafID(77)])] {
                let times = Times(3)
                cluster.bench.shards.breakCalls { called, call in
                    called == operation && call.shard == place.id && times.take() ? .fail(fault) : nil
                }
                #expect(try await Self.outcome(operation, cluster, cluster.bench.context()) == expected, "\(fault)")
            }
        }
    }

    /// A deletion changes what the next one finds: each fault gets a cluster of its own.
    private func deletionsPass(_ healthy: ClusterTests.Cluster) async throws {
        let expected = try await Self.outcome(.delete, healthy, healthy.bench.context()).count
        for number in 0..<4 {
            let cluster = try await ClusterTests.cluster()
            let place = try await cluster.map().shards[number]
            let times = Times(2)
            cluster.bench.shards.breakCalls { called, call in
                called == .delete && call.shard == place.id && times.take() ? .fail(.unknownShard(place.id)) : nil
            }
            let outcome = try await Self.outcome(.delete, cluster, cluster.bench.context())
            #expect(outcome.count == expected && outcome[2] == "and not")
        }
    }

    @Test(arguments: asking) func whatStaysNamesTheShardAndItsNode(_ operation: FlakyShards.Operation) async throws {
        let cluster = try await ClusterTests.cluster()
        // A face's vector is enough from whoever has it: all but that one may be silent.
        let broken = try await cluster.map().shards.filter { operation == .vector || $0.roots == [LeafID(1)] }
        let faults: [ShardError] = [
            .busy(broken[0].id, reason: "queue"), .damaged(broken[0].id, reason: "block"),
            .stopped(broken[0].id, reason: "log"), .unknownShard(broken[0].id),
            .unreachable(broken[0].id, node: broken[0].node, reason: "reset", outcomeUnknown: true),
        ]
        for fault in faults {
            cluster.bench.shards.breakCalls { called, call in
                called == operation && broken.contains { $0.id == call.shard } ? .fail(fault) : nil
            }
            let error = await #expect(throws: CoordinatorError.self) {
                _ = try await Self.outcome(operation, cluster, cluster.bench.context())
            }
            switch error {
            case .incomplete(4, 4 - broken.count, let missing)?, .incompleteWrite(4, 4 - broken.count, let missing)?:
                // Who cannot be reached is named by the error itself.
                let isAway = if case .unreachable = fault { true } else { false }
                #expect(missing.map(\.shard) == broken.map(\.id))
                #expect(missing.map(\.node) == broken.map { isAway ? broken[0].node : $0.node })
                #expect(missing.allSatisfy { $0.reason == fault })
            default: #expect(Bool(false), "\(String(describing: error))")
            }
        }
    }
}
