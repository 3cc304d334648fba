import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Shards that have fewer copies than are configured are given them.
@Suite struct CopiesAddedTests {
    private static let three = ReplicationSettings(copies: 3, minInSync: 2)

    /// A shard with one copy, and a coordinator by whose configuration it has three.
    private func cluster() async throws -> (ClusterTests.Cluster, FaceIndex, ShardID) {
        let cluster = try await ClusterTests.cluster(shards: 1, faces: 10)
        return (cluster, cluster.bench.coordinator(replication: Self.three), try await cluster.map().shards[0].id)
    }

    private func replicate(_ cluster: ClusterTests.Cluster, _ index: FaceIndex, _ shard: ShardID) async throws
        -> ReplicatedShard
    {
        try await index.replicate(shard, in: cluster.bench.context())
    }

    @Test func oneCopyMoreIsNamedAtATimeAndTheMinimumRisesLast() async throws {
        let (cluster, index, shard) = try await cluster()
        for copies in 2...3 {
            let report = try await replicate(cluster, index, shard)
            #expect(report == ReplicatedShard(isDone: false, copies: 3, inSync: 1, minInSync: 1))
            let (register, nodes) = try #require(cluster.bench.copies(of: shard))
            #expect(register.learners.count == copies - 1 && Set(nodes.values).count == copies)
            #expect(register.version == 1 && register.minInSync == 1)
        }
        // They learn for as long as they like.
        for _ in 0..<3 { #expect(try await !replicate(cluster, index, shard).isDone) }
        #expect(cluster.bench.copies(of: shard)?.nodes.count == 3)
        cluster.bench.takeIn(shard, count: 1)
        #expect(try await !replicate(cluster, index, shard).isDone)
        #expect(cluster.bench.copies(of: shard)?.register.minInSync == 1, "one learns still")
        cluster.bench.takeIn(shard, count: 1)
        for _ in 0..<2 {
            let report = try await replicate(cluster, index, shard)
            #expect(report == ReplicatedShard(isDone: true, copies: 3, inSync: 3, minInSync: 2))
        }
        #expect(cluster.bench.copies(of: shard)?.register.version == 3, "members changed twice")
    }

    @Test func whatASecondOperatorDoesIsNotDoneTwice() async throws {
        let (cluster, index, shard) = try await cluster()
        async let first = replicate(cluster, index, shard)
        async let second = replicate(cluster, index, shard)
        _ = try await (first, second)
        while try #require(cluster.bench.copies(of: shard)).register.named.count < 3 {
            _ = try await replicate(cluster, index, shard)
        }
        let (register, nodes) = try #require(cluster.bench.copies(of: shard))
        #expect(nodes.count == 3 && register.named.count == 3 && Set(nodes.values).count == 3)
    }

    @Test func aShardThatHasMoreKeepsThem() async throws {
        let cluster = try await ClusterTests.cluster(shards: 1, faces: 10, replication: Self.three)
        let shard = try await cluster.map().shards[0].id
        let lesser = cluster.bench.coordinator(replication: .single)
        let report = try await replicate(cluster, lesser, shard)
        #expect(report == ReplicatedShard(isDone: true, copies: 3, inSync: 3, minInSync: 2))
    }

    @Test func whereNoNodeIsLeftItSaysSo() async throws {
        let (cluster, _, shard) = try await cluster()
        let index = cluster.bench.coordinator(replication: ReplicationSettings(copies: 5, minInSync: 2))
        for _ in 0..<3 { _ = try await replicate(cluster, index, shard) }
        let refusal = await #expect(throws: CoordinatorError.self) { try await replicate(cluster, index, shard) }
        if case .impossibleMove(let reason)? = refusal {
            #expect(reason.contains("4 copies"))
        } else {
            Issue.record("\(String(describing: refusal))")
        }
    }

    @Test func anEmbeddedServerHasOneNode() async throws {
        let bench = try await Bench()
        await #expect(throws: CoordinatorError.self) {
            try await bench.index.replicate(ShardID(Bits128(high: 0, low: 1)), in: bench.context)
        }
    }
}
