import ClusterModel
import FaceModel
import ShardEngine
import TestBench
import Testing

/// Who keeps the ledger: settled once, by whoever comes first.
@Suite struct LedgerPlacementTests {
    private static let nodes = ["n-1", "n-2", "n-3", "n-4"].compactMap { NodeID($0) }

    private func cluster(keptBy keeper: NodeID? = nil) async throws -> (LedgerPlacement, MemoryControlPlane, ShardID) {
        let store = MemoryControlPlane()
        let cluster = ClusterRegister(id: Bits128(high: 3, low: 4), formatVersion: 1, ledger: keeper)
        let made = try await store.commit(RegisterTransaction([.put(.cluster(cluster), expecting: .absent)]))
        guard case .committed = made else { preconditionFailure("an empty store takes a register") }
        return (LedgerPlacement(cluster: cluster.id, in: store), store, ShardID(cluster.id))
    }

    private func ask(
        _ placement: LedgerPlacement, _ node: Int, of count: Int = 3
    ) async throws -> LedgerPlacement.Outcome {
        var generator = SystemRandomNumberGenerator()
        let others = Self.nodes[..<count].filter { $0 != Self.nodes[node] }
        return try await placement.copy(
            of: Self.nodes[node], with: others, minInSync: min(2, count), using: &generator)
    }

    @Test func theFirstBeginsAndTheOthersLearn() async throws {
        let (placement, store, shard) = try await cluster()
        #expect(try await ask(placement, 1) == .copy(ReplicaID(shard.bits), begins: true))
        #expect(try await ask(placement, 1) == .copy(ReplicaID(shard.bits), begins: true))
        guard case .shard(let register)? = try await store.read(.shard(shard))?.value,
            case .cluster(let cluster)? = try await store.read(.cluster)?.value
        else {
            Issue.record("no registers")
            return
        }
        #expect(register.inSync == [ReplicaID(shard.bits)] && register.learners.count == 2)
        #expect(register.minInSync == 2 && register.epoch == Epoch(1) && cluster.ledger == Self.nodes[1])
        for node in [0, 2] {
            guard case .copy(let replica, begins: true) = try await ask(placement, node) else {
                Issue.record("node \(node) has no copy")
                continue
            }
            #expect(register.learners.contains(replica))
        }
        #expect(try await ask(placement, 3) == .elsewhere)
    }

    /// All nodes of a new cluster ask at the same time: whichever register another commits behind, each gets its copy.
    @Test(arguments: 1...2) func whoIsOvertakenLearnsToo(reads: Int) async throws {
        let (placement, store, shard) = try await cluster()
        store.interrupt(afterFreshReads: reads) { [self] in
            await #expect(throws: Never.self) { _ = try await ask(placement, 2) }
        }
        guard case .copy(let replica, begins: true) = try await ask(placement, 1) else {
            Issue.record("a node that was overtaken has no copy")
            return
        }
        guard case .shard(let register)? = try await store.read(.shard(shard))?.value else { return }
        #expect(register.learners.contains(replica) && register.learners.count == 2)
    }

    @Test func aMemberIsNeverBegunAnew() async throws {
        let (placement, store, shard) = try await cluster()
        _ = try await ask(placement, 0)
        let found = try #require(try await store.read(.shard(shard)))
        guard case .shard(var register) = found.value else { return }
        register.epoch = Epoch(2)
        _ = try await store.commit(RegisterTransaction([.put(.shard(register), expecting: found.revision)]))
        #expect(try await ask(placement, 0) == .copy(ReplicaID(shard.bits), begins: false))
        guard case .copy(_, begins: true) = try await ask(placement, 1) else {
            Issue.record("a learner may come with nothing")
            return
        }
    }

    @Test func aLedgerFromBeforeKeepsItsOneCopy() async throws {
        let (placement, store, shard) = try await cluster(keptBy: Self.nodes[0])
        #expect(try await ask(placement, 1) == .keptBefore(by: Self.nodes[0]))
        #expect(try await store.read(.shard(shard)) == nil)
        #expect(try await ask(placement, 0) == .copy(ReplicaID(shard.bits), begins: false))
        guard case .shard(let register)? = try await store.read(.shard(shard))?.value else { return }
        #expect((register.inSync + register.learners) == [ReplicaID(shard.bits)] && register.minInSync == 1)
        #expect(try await ask(placement, 1) == .elsewhere)
    }
}
