import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Copies on a node that has been silent for long are made anew on another, by the controller.
@Suite struct LostNodesTests {
    private static let patience = Duration.seconds(60)

    /// Four nodes, a shard of three copies; the node of one that does not decide is silent.
    private struct Scene {
        let cluster: ClusterTests.Cluster
        let index: FaceIndex
        let shard: ShardID
        let gone: NodeID
        let spare: NodeID
        let begun = ContinuousClock.now

        init() async throws {
            cluster = try await ClusterTests.cluster(shards: 1, faces: 10, replication: CopiesTests.three)
            index = cluster.bench.coordinator(replacesAfter: patience)
            shard = try await cluster.map().shards[0].id
            let (register, nodes) = try #require(cluster.bench.copies(of: shard))
            gone = try #require(nodes.first { $0.key != register.primary }?.value)
            spare = try #require(cluster.bench.nodes.first { !nodes.values.contains($0) })
        }

        func look(after time: Duration) async throws { try await index.replaceLostCopies(at: begun + time) }

        var homes: Set<NodeID> { Set(cluster.bench.copies(of: shard)?.nodes.values.map(\.self) ?? []) }
        var register: ShardRegister? { cluster.bench.copies(of: shard)?.register }

        /// As the primary sees to it: the silent copy is a learner, and who learns and is there joins.
        func settle() {
            guard var register, let nodes = cluster.bench.copies(of: shard)?.nodes else { return }
            register.inSync = nodes.filter { $0.value != gone }.map(\.key).sorted()
            register.learners = nodes.filter { $0.value == gone }.map(\.key).sorted()
            register.version += 1
            cluster.bench.controlPlane.overwrite(.shard(register))
        }
    }

    @Test func theyAreReplacedWhenItIsTimeAndNotBefore() async throws {
        let scene = try await Scene()
        let before = scene.homes
        try await scene.look(after: .zero)
        scene.cluster.bench.shards.silence([scene.gone])
        for seconds in [20, 40, 59] { try await scene.look(after: .seconds(seconds)) }
        #expect(scene.homes == before)
        try await scene.look(after: .seconds(60))
        #expect(scene.homes == before.union([scene.spare]))
        scene.settle()
        for _ in 0..<3 { try await scene.look(after: .seconds(61)) }
        #expect(scene.homes == before.subtracting([scene.gone]).union([scene.spare]))
        #expect(scene.register?.named.count == 3 && scene.register?.learners.isEmpty == true)
    }

    @Test func aNodeThatAnswersInBetweenIsWaitedForAgain() async throws {
        let scene = try await Scene()
        let before = scene.homes
        scene.cluster.bench.shards.silence([scene.gone])
        for seconds in [0, 25] { try await scene.look(after: .seconds(seconds)) }
        scene.cluster.bench.shards.silence([])
        try await scene.look(after: .seconds(50))
        scene.cluster.bench.shards.silence([scene.gone])
        for seconds in [70, 90, 109] { try await scene.look(after: .seconds(seconds)) }
        #expect(scene.homes == before)
        try await scene.look(after: .seconds(110))
        #expect(scene.homes.contains(scene.spare))
    }

    @Test func whoeverHasJustBegunToAskKnowsNothing() async throws {
        let scene = try await Scene()
        let before = scene.homes
        scene.cluster.bench.shards.silence([scene.gone])
        for seconds in [1_000, 1_030, 1_059] { try await scene.look(after: .seconds(seconds)) }
        #expect(scene.homes == before)
        // It stood still itself.
        for seconds in [2_000, 2_030] { try await scene.look(after: .seconds(seconds)) }
        #expect(scene.homes == before)
    }

    /// It is this coordinator that hears nobody.
    @Test func whereNobodyAnswersNothingIsMoved() async throws {
        let scene = try await Scene()
        let before = scene.homes
        scene.cluster.bench.shards.silence(Set(scene.cluster.bench.nodes))
        for seconds in [0, 30, 60, 61] { try await scene.look(after: .seconds(seconds)) }
        #expect(scene.homes == before)
    }

    /// As in a cluster of as many nodes as copies: it is tried again and again, said once, and holds up no other shard.
    @Test func oneThatCannotBeReplacedHoldsUpNoOther() throws {
        let silence = SilentNodes()
        let node = try ClusterBench.node(1)
        let shards = (1...3).map { ShardID(Bits128(high: 0, low: $0)) }
        for _ in 0..<2 {
            for shard in shards {
                #expect(silence.next(of: shards, on: node) == shard)
                silence.triedInVain(shard, on: node)
            }
        }
        #expect(silence.next(of: [], on: node) == nil)
        #expect(silence.isNews("no node", of: node) && !silence.isNews("no node", of: node))
        silence.note([node], answered: [node], at: .now)
        #expect(silence.isNews("no node", of: node))
    }

    @Test func onlyTheControllerDoesIt() async throws {
        let scene = try await Scene()
        let before = scene.homes
        #expect(try await scene.cluster.index.takesSeat())
        scene.cluster.bench.shards.silence([scene.gone])
        for seconds in [0, 30, 60] { try await scene.look(after: .seconds(seconds)) }
        #expect(scene.homes == before)
    }
}
