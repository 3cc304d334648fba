import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// The same over a cluster of nodes in memory, each of which says what it holds.
@Suite struct RecoveryClusterTests {
    typealias Cluster = ClusterTests.Cluster

    private func cluster() async throws -> Cluster {
        let cluster = try await ClusterTests.cluster(shards: 2, faces: 10, replication: CopiesTests.three)
        for shard in try await cluster.map().shards { try hold(shard.id, cluster) }
        return cluster
    }

    /// Every copy holds what its register says, as far as record 50.
    private func hold(
        _ shard: ShardID, _ cluster: Cluster, _ change: (inout HeldCopy, NodeID) -> Void = { _, _ in }
    ) throws {
        let (register, nodes) = try #require(cluster.bench.copies(of: shard))
        for (replica, node) in nodes {
            var copy = HeldCopy(
                replica: replica, register: register, revision: 9, epoch: register.epoch, condition: .whole,
                end: LogIndex(50), endEpoch: register.epoch)
            change(&copy, node)
            let number = try #require(cluster.bench.nodes.firstIndex(of: node))
            cluster.nodes[number].hold(cluster.nodes[number].held.filter { $0.shard != shard } + [copy])
        }
    }

    private func refusal(_ body: () async throws -> Void) async -> String? {
        do {
            try await body()
            return nil
        } catch CoordinatorError.impossibleRecovery(let reason) {
            return reason
        } catch {
            return "another error: \(error)"
        }
    }

    @Test func aShardIsRecoveredOnlyWhereNoMemberIsLeft() async throws {
        let cluster = try await cluster()
        let (bench, index) = (cluster.bench, cluster.index)
        let shard = try await cluster.map().shards[0].id
        let (register, nodes) = try #require(bench.copies(of: shard))
        let context = try bench.context()
        let refused = await refusal { _ = try await index.recoverShard(shard, with: nil, accepts: true, in: context) }
        #expect(refused?.contains("counts and is whole") == true)
        // Two are gone; the third had been left out.
        let survivor = register.inSync[2]
        let home = try #require(nodes[survivor])
        var shrunk = register
        (shrunk.inSync, shrunk.learners, shrunk.version) = (Array(register.inSync[..<2]), [survivor], 2)
        shrunk.primary = shrunk.inSync[0]
        bench.controlPlane.overwrite(.shard(shrunk))
        for (number, node) in bench.nodes.enumerated() where node != home { cluster.nodes[number].hold([]) }
        let plan = try await index.recoverShard(shard, with: nil, accepts: false, in: context)
        #expect(!plan.isDone && plan.chosen.node == home && plan.register.generation == Generation(1))
        #expect(plan.copies.map(\.replica).sorted() == register.inSync.sorted())
        #expect(plan.copies.filter { $0.held == nil }.allSatisfy { $0.silence == "its node has no files of it" })
        #expect(bench.copies(of: shard)?.register == shrunk)
        let stranger = ReplicaID(Bits128(high: 0, low: 1))
        let nobody = await refusal {
            _ = try await index.recoverShard(shard, with: stranger, accepts: true, in: context)
        }
        #expect(nobody?.contains("No node that answers holds") == true)
        let done = try await index.recoverShard(shard, with: survivor, accepts: true, in: context)
        let now = try #require(bench.copies(of: shard))
        #expect(done.isDone && now.register == done.register && now.register.inSync == [survivor])
        #expect(now.register.learners == shrunk.inSync.sorted() && now.nodes == nodes)
        #expect(now.register.epoch > shrunk.epoch && now.register.version == 3)
    }

    @Test func registersThatWereLostAreMadeAnew() async throws {
        let cluster = try await cluster()
        let bench = cluster.bench
        let shards = try await cluster.map().shards.map(\.id)
        let (register, nodes) = try #require(bench.copies(of: shards[0]))
        bench.controlPlane.remove(.shard(shards[0]))
        for replica in nodes.keys { bench.controlPlane.remove(.replica(shards[0], replica)) }
        let plan = try await cluster.index.rebuildRegisters(without: [], applies: false, in: bench.context())
        #expect(bench.copies(of: shards[0]) == nil && !plan.isDone)
        let answer = try await cluster.index.rebuildRegisters(without: [], applies: true, in: bench.context())
        #expect(answer.shards.filter { $0.outcome == .current }.map(\.shard) == [shards[1]])
        let now = try #require(bench.copies(of: shards[0]))
        #expect(now.nodes == nodes && now.register.inSync.count == 1 && now.register.learners.count == 2)
        #expect(now.register.generation == Generation(1) && now.register.epoch > register.epoch)
        #expect(answer.shards.map(\.outcome) == plan.shards.map(\.outcome))
        // Once more: copies that follow remember it, and nothing is to be done.
        try hold(shards[0], cluster)
        let again = try await cluster.index.rebuildRegisters(without: [], applies: true, in: bench.context())
        #expect(again.shards.allSatisfy { $0.outcome == .current })
        #expect(bench.copies(of: shards[0])?.register == now.register)
    }

    /// A backup put members back who have left since, and names a copy that is gone.
    @Test func registersFromABackupGiveWayToWhatCopiesRemember() async throws {
        let cluster = try await cluster()
        let bench = cluster.bench
        let shard = try await cluster.map().shards[0].id
        let (register, nodes) = try #require(bench.copies(of: shard))
        var newest = register
        (newest.inSync, newest.learners) = (Array(register.inSync[1...]), [register.inSync[0]])
        (newest.primary, newest.version, newest.epoch) = (newest.inSync[0], 4, Epoch(6))
        try hold(shard, cluster) { copy, _ in
            guard copy.replica != register.inSync[0] else { return copy.end = LogIndex(500) }
            copy.register = newest
            copy.epoch = Epoch(copy.replica == newest.inSync[1] ? 7 : 6)
            copy.end = LogIndex(copy.replica == newest.inSync[1] ? 60 : 61)
        }
        let gone = ReplicaID(Bits128(high: 3, low: 3))
        bench.controlPlane.overwrite(
            .replica(
                ReplicaRegister(
                    shard: shard, replica: gone, node: bench.nodes[0], directory: Bits128(high: 0, low: 0),
                    sealedKey: [])))
        _ = try await cluster.index.rebuildRegisters(without: [], applies: true, in: bench.context())
        let now = try #require(bench.copies(of: shard))
        #expect(now.nodes == nodes && now.register.inSync == [newest.inSync[0]])
        #expect(now.register.version == 5 && now.register.epoch == Epoch(8))
    }

    @Test func whatCannotBeMadeAnewIsSaid() async throws {
        let cluster = try await cluster()
        let bench = cluster.bench
        let shards = try await cluster.map().shards.map(\.id)
        bench.shards.silence([bench.nodes[3]])
        let silent = await refusal {
            _ = try await cluster.index.rebuildRegisters(without: [], applies: true, in: bench.context())
        }
        #expect(silent?.contains("\(bench.nodes[3]) (it does not answer)") == true)
        _ = try await cluster.index.rebuildRegisters(without: [bench.nodes[3]], applies: true, in: bench.context())
        bench.shards.heal()
        // One shard has no files any more, and another that no map names is there.
        for node in cluster.nodes { node.hold(node.held.filter { $0.shard != shards[0] }) }
        let stranger = ShardID(Bits128(high: 8, low: 8))
        var copy = try #require(cluster.nodes.flatMap(\.held).first)
        copy.register.shard = stranger
        cluster.nodes[2].hold(cluster.nodes[2].held + [copy])
        // And one is held only by a copy that does not count.
        let (register, nodes) = try #require(bench.copies(of: shards[1]))
        for node in cluster.nodes {
            node.hold(
                node.held.filter { $0.shard != shards[1] || $0.replica == register.inSync[0] }.map { copy in
                    guard copy.shard == shards[1] else { return copy }
                    var late = copy
                    (late.register.version, late.register.learners) = (9, [copy.replica])
                    late.register.inSync = Array(register.inSync[1...])
                    late.register.primary = register.inSync[1]
                    return late
                })
        }
        let answer = try await cluster.index.rebuildRegisters(without: [], applies: true, in: bench.context())
        let outcomes = Dictionary(uniqueKeysWithValues: answer.shards.map { ($0.shard, $0.outcome) })
        #expect(
            outcomes == [
                shards[0]: .heldByNobody, shards[1]: .noMemberLeft, stranger: .inNoMap(on: [bench.nodes[2]]),
            ])
        #expect(bench.copies(of: shards[1])?.register == register && bench.copies(of: shards[1])?.nodes == nodes)
    }
}
