import ClusterModel
import FaceModel
import Synchronization
import TestBench
import Testing

@testable import Coordinator

/// Shards of several copies whose primaries fail, move and come back.
@Suite struct CopiesTests {
    typealias Cluster = ClusterTests.Cluster
    static let three = ReplicationSettings(copies: 3, minInSync: 2)

    private func cluster(shards: Int = 4, faces: Int = 40) async throws -> Cluster {
        try await ClusterTests.cluster(shards: shards, faces: faces, replication: Self.three)
    }

    @Test func aShardHasCopiesOnNodesOfTheirOwn() async throws {
        let cluster = try await cluster()
        let map = try await cluster.map()
        #expect(map.made)
        for shard in map.shards {
            let (register, nodes) = try #require(cluster.bench.copies(of: shard.id))
            #expect(register.generation == Generation(0) && register.version == 1 && register.epoch == Epoch(1))
            #expect(register.primaryIncarnation == Incarnation(0) && register.minInSync == 2)
            #expect(register.inSync.count == 3 && register.learners.isEmpty)
            #expect(register.inSync == register.inSync.sorted() && Set(nodes.keys) == Set(register.inSync))
            #expect(Set(nodes.values).count == 3 && nodes[register.primary] == shard.node)
        }
        #expect(Set(map.shards.map(\.node)).count == 4)
        #expect(cluster.nodes.allSatisfy { $0.shardsOnDisk.count == 3 && $0.openShards.count == 3 })
    }

    @Test func thePrimaryIsAsked() async throws {
        let cluster = try await cluster()
        for shard in try await cluster.map().shards { cluster.bench.elect(shard.id) }
        _ = try await cluster.search()
        let calls = cluster.bench.shards.calls.map(\.call)
        #expect(calls.count == 4)
        #expect(calls.allSatisfy { cluster.bench.primary(of: $0.shard) == $0.node })
    }

    @Test func everyOperationFollowsThePrimaryThroughAMirrorThatLags() async throws {
        let cluster = try await cluster()
        let before = try await cluster.search()
        let shard = try await cluster.map().shards[1]
        func move(lag: Int = 12) {
            cluster.bench.controlPlane.freeze(reads: lag)
            cluster.bench.elect(shard.id)
            cluster.bench.shards.forgetCalls()
        }
        move(lag: 16)
        let after = try await cluster.search()
        #expect(after.candidates.map(\.face) == before.candidates.map(\.face) && after.missing.isEmpty)
        // The old primary was asked, and refused.
        #expect(cluster.bench.shards.calls.count > 4)
        move()
        #expect(try await cluster.enrol(ClusterTests.vectors(40, seed: 1)) == cluster.faces)
        move()
        #expect(try await cluster.list(pages: 7) == cluster.faces.map(\.id).sorted())
        move()
        let gone = try await cluster.index.deleteFaces(
            cluster.faces.prefix(20).map(\.id), collection: cluster.name, in: cluster.bench.context())
        #expect(gone.deleted.count == 20)
        move()
        let count = try await cluster.index.describeCollection(cluster.name, in: cluster.bench.context()).faceCount
        #expect(count == 20)
    }

    @Test func aMirrorThatStandsStillHidesNobody() async throws {
        let cluster = try await cluster()
        let before = try await cluster.search()
        cluster.bench.controlPlane.freeze(reads: 1_000_000)
        for shard in try await cluster.map().shards { cluster.bench.elect(shard.id) }
        let after = try await cluster.search()
        #expect(after.candidates.map(\.face) == before.candidates.map(\.face) && after.missing.isEmpty)
        #expect(try await cluster.enrol(ClusterTests.vectors(40, seed: 1)) == cluster.faces)
    }

    @Test func aNodeThatFailsIsAskedAgainUntilAnotherCopyIsChosen() async throws {
        let faults: [@Sendable (ShardCall) -> FlakyShards.Fault] = [
            { .fail(.unreachable($0.shard, node: $0.node, reason: "refused", outcomeUnknown: false)) },
            { .fail(.unreachable($0.shard, node: $0.node, reason: "reset", outcomeUnknown: true)) },
            { .fail(.notServing($0.shard, reason: "1 of 2 copies")) }, { .fail(.interrupted($0.shard)) },
            { .fail(.busy($0.shard, reason: "its node is stopping")) }, { .fail(.stopped($0.shard, reason: "log")) },
        ]
        for fault in faults {
            let cluster = try await cluster()
            let shard = try await cluster.map().shards[2]
            let bench = cluster.bench
            let asked = Atomic(0)
            bench.shards.breakCalls { _, call in
                guard call.shard == shard.id, call.node == shard.node else { return nil }
                if asked.add(1, ordering: .relaxed).newValue == 4 { bench.elect(shard.id) }
                return fault(call)
            }
            #expect(try await cluster.search().missing.isEmpty)
            #expect(bench.primary(of: shard.id) != shard.node)
        }
    }

    @Test func aSilentNodeIsLeftWhenAnotherCopyIsChosen() async throws {
        let cluster = try await cluster()
        let shard = try await cluster.map().shards[0]
        let bench = cluster.bench
        bench.shards.breakCalls { _, call in
            guard call.shard == shard.id, call.node == shard.node else { return nil }
            bench.elect(shard.id)
            return .hang
        }
        // The deadline is half a minute away.
        let answer = try await cluster.search()
        #expect(answer.missing.isEmpty && answer.coverage.facesScored == 40)
    }

    @Test func aWriteWhoseAnswerWasLostIsMadeAgain() async throws {
        let cluster = try await cluster(faces: 0)
        let bench = cluster.bench
        let once = Mutex<Set<ShardID>>([])
        bench.shards.breakCalls { operation, call in
            guard operation == .enrol || operation == .delete else { return nil }
            return once.withLock { $0.insert(call.shard).inserted } ? .loseAnswer : nil
        }
        let faces = try await cluster.enrol(ClusterTests.vectors(40, seed: 1))
        bench.shards.heal()
        #expect(try await cluster.enrol(ClusterTests.vectors(40, seed: 1)) == faces && Set(faces.map(\.id)).count == 40)
        once.withLock { $0 = [] }
        bench.shards.breakCalls { operation, call in
            guard operation == .delete else { return nil }
            return once.withLock { $0.insert(call.shard).inserted } ? .loseAnswer : nil
        }
        // Gone, though nobody can say by which of the two requests.
        _ = try await cluster.index.deleteFaces(faces.map(\.id), collection: cluster.name, in: bench.context())
        let count = try await cluster.index.describeCollection(cluster.name, in: bench.context()).faceCount
        #expect(count == 0)
    }

    @Test func aShardThatNeverServesIsNamedAtTheDeadlineWithTheReason() async throws {
        let cluster = try await cluster()
        let shard = try await cluster.map().shards[3]
        cluster.bench.shards.breakCalls { _, call in
            call.shard == shard.id ? .fail(.notServing(call.shard, reason: "1 of 2 copies")) : nil
        }
        let error = await #expect(throws: CoordinatorError.self) {
            try await cluster.search(cluster.bench.context(within: .seconds(2)))
        }
        let missing = MissingShard(
            shard: shard.id, node: shard.node, reason: .notServing(shard.id, reason: "1 of 2 copies"))
        #expect(error == .incomplete(asked: 4, answered: 3, missing: [missing]))
        // Asked more than once, but not without pause.
        let asked = cluster.bench.shards.calls.count { $0.call.shard == shard.id }
        #expect(asked > 1 && asked < 30)
        // Whoever takes a part is told sooner than the deadline.
        let answer = try await cluster.search(cluster.bench.context(partial: true))
        #expect(answer.missing == [missing] && !answer.candidates.isEmpty)
    }

    @Test func tooFewNodesAreNamedByTheirNumber() async throws {
        let bench = try await ClusterBench([MemoryNode(), MemoryNode()], replication: Self.three)
        let name = try #require(CollectionName("c"))
        await #expect(throws: CoordinatorError.tooFewNodes(copies: 3, nodes: 2)) {
            try await bench.index.createCollection(name, tags: [:], in: bench.context())
        }
        #expect(bench.controlPlane.committed(.allCollections).isEmpty)
    }

    @Test func theMostShardsGetTheirRegistersInSeveralTransactions() async throws {
        let bench = try await ClusterBench((0..<4).map { _ in MemoryNode() }, replication: Self.three)
        let name = try #require(CollectionName("c"))
        _ = try await bench.index.createCollection(
            name, tags: [:], shards: Limits.shardsPerCollectionMax, in: bench.context())
        #expect(bench.controlPlane.committed(.shards).count == Limits.shardsPerCollectionMax)
        #expect(bench.controlPlane.committed(.allReplicas).count == 3 * Limits.shardsPerCollectionMax)
        guard case .map(let map) = try await bench.map().value else { return }
        #expect(map.made)
        try await bench.index.deleteCollection(name, in: bench.context())
        #expect(bench.controlPlane.committed(.shards).isEmpty && bench.controlPlane.committed(.allReplicas).isEmpty)
        #expect(bench.controlPlane.committed(.maps).isEmpty)
    }

    @Test func registersThatACreationLeftOutAreAddedByWhoeverTouchesIt() async throws {
        let cluster = try await cluster(faces: 0)
        let shards = try await cluster.map().shards
        for node in cluster.nodes { node.loseFiles() }
        for shard in shards[2...] {
            for register in cluster.bench.controlPlane.committed(.replicas(shard.id)) {
                cluster.bench.controlPlane.remove(register.value.key)
            }
            cluster.bench.controlPlane.remove(.shard(shard.id))
        }
        var map = try await cluster.map()
        map.made = false
        cluster.bench.controlPlane.overwrite(.map(map))
        // Several coordinators at once, too.
        let coordinators = (0..<6).map { _ in cluster.bench.coordinator() }
        let context = try cluster.bench.context()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for coordinator in coordinators {
                group.addTask {
                    try await coordinator.describeCollection(cluster.name, in: context).faceCount
                }
            }
            for try await count in group { #expect(count == 0) }
        }
        #expect(try await cluster.map().made)
        for shard in shards {
            let (register, nodes) = try #require(cluster.bench.copies(of: shard.id))
            #expect(register.inSync.count == 3 && Set(nodes.values).count == 3)
        }
        #expect(cluster.nodes.reduce(0) { $0 + $1.shardsOnDisk.count } == 12)
    }

    @Test func aCopyThatCannotBeMadeWithdrawsEverything() async throws {
        let nodes = (0..<4).map { _ in MemoryNode() }
        let bench = try await ClusterBench(nodes, shardsPerCollection: 4, replication: Self.three)
        let name = try #require(CollectionName("c"))
        bench.shards.breakCalls { operation, call in
            operation == .open && call.node == bench.nodes[3]
                ? .fail(.unreachable(call.shard, node: call.node, reason: "reset", outcomeUnknown: false)) : nil
        }
        let error = await #expect(throws: CoordinatorError.self) {
            try await bench.index.createCollection(name, tags: [:], in: bench.context())
        }
        guard case .incomplete(_, _, let missing)? = error else { return #expect(Bool(false)) }
        #expect(!missing.isEmpty && missing.allSatisfy { $0.node == bench.nodes[3] })
        #expect(nodes.allSatisfy { $0.shardsOnDisk.isEmpty })
        for family in [RegisterFamily.maps, .allCollections, .shards, .allReplicas] {
            #expect(bench.controlPlane.committed(family).isEmpty)
        }
    }

    @Test func aDeletionDropsEveryCopyAndTheSweepThoseOfADeadNode() async throws {
        let cluster = try await cluster()
        let bench = cluster.bench
        let dead = bench.nodes[1]
        // Copies choose another primary while they are removed.
        bench.shards.breakCalls { operation, call in
            guard operation == .drop else { return nil }
            if call.node != dead { return nil }
            bench.elect(call.shard)
            return .fail(.unreachable(call.shard, node: call.node, reason: "reset", outcomeUnknown: false))
        }
        try await cluster.index.deleteCollection(cluster.name, in: bench.context())
        #expect(cluster.nodes.map(\.shardsOnDisk.count) == [0, 3, 0, 0])
        #expect(try await bench.coordinator().finishDeletions() == 1)
        #expect(bench.controlPlane.committed(.shards).count == 4)
        bench.shards.breakCalls { operation, call in
            if operation == .drop, call.node == dead { bench.elect(call.shard) }
            return nil
        }
        #expect(try await bench.coordinator().finishDeletions() == 0)
        #expect(cluster.nodes.allSatisfy { $0.shardsOnDisk.isEmpty })
        for family in [RegisterFamily.maps, .shards, .allReplicas] {
            #expect(bench.controlPlane.committed(family).isEmpty)
        }
    }

    @Test func aShardMadeBeforeThereWereRegistersIsAdopted() async throws {
        let cluster = try await ClusterTests.cluster()
        let before = try await cluster.search()
        let shards = try await cluster.map().shards
        for register in cluster.bench.controlPlane.committed(.allReplicas)
            + cluster.bench.controlPlane.committed(.shards)
        {
            cluster.bench.controlPlane.remove(register.value.key)
        }
        #expect(try await cluster.search().candidates.map(\.face) == before.candidates.map(\.face))
        let status = await cluster.index.status()
        #expect(status.complete && status.collections.first?.shards.allSatisfy { $0.copies == nil } == true)
        // By several coordinators at once.
        let coordinators = (0..<4).map { _ in cluster.bench.coordinator() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for coordinator in coordinators { group.addTask { try await coordinator.start() } }
            try await group.waitForAll()
        }
        for shard in shards {
            let (register, nodes) = try #require(cluster.bench.copies(of: shard.id))
            let replica = ReplicaID(shard.id.bits)
            #expect(register.primary == replica && register.inSync == [replica] && register.minInSync == 1)
            #expect(nodes == [replica: shard.node])
        }
        #expect(try await cluster.search().candidates.map(\.face) == before.candidates.map(\.face))
    }

    @Test func copiesOfANodeThatStartedAreOpenedOnce() async throws {
        let cluster = try await cluster()
        let (bench, index) = (cluster.bench, cluster.index)
        try await index.openCopies(within: .seconds(10))
        bench.shards.forgetCalls()
        try await index.openCopies(within: .seconds(10))
        #expect(bench.shards.calls.isEmpty)
        cluster.nodes[2].restart()
        bench.register(bench.nodes[2], started: 5)
        // Once it answers.
        bench.shards.silence([bench.nodes[2]])
        try await index.openCopies(within: .seconds(10))
        #expect(cluster.nodes[2].openShards.isEmpty)
        bench.shards.heal()
        bench.shards.breakCalls { operation, call in
            operation == .open && call.node == bench.nodes[2]
                ? .fail(.busy(call.shard, reason: "queue")) : nil
        }
        try await index.openCopies(within: .seconds(10))
        bench.shards.heal()
        bench.shards.forgetCalls()
        try await index.openCopies(within: .seconds(10))
        #expect(cluster.nodes[2].openShards == cluster.nodes[2].shardsOnDisk)
        #expect(bench.shards.calls.count == 3 && bench.shards.calls.allSatisfy { $0.call.node == bench.nodes[2] })
        bench.shards.forgetCalls()
        try await index.openCopies(within: .seconds(10))
        #expect(bench.shards.calls.isEmpty)
    }

    @Test func theStatusSaysWhoDecidesAndWhatIsDegraded() async throws {
        let cluster = try await cluster()
        let bench = cluster.bench
        let shard = try await cluster.map().shards[1].id
        var status = await cluster.index.status()
        #expect(status.complete && status.problems.isEmpty)
        bench.elect(shard)
        var register = try #require(bench.copies(of: shard)).register
        let behind = try #require(register.inSync.first { $0 != register.primary })
        register.inSync.removeAll { $0 == behind }
        register.learners = [behind]
        bench.controlPlane.overwrite(.shard(register))
        status = await cluster.index.status()
        let shown = try #require(status.collections.first?.shards.first { $0.shard == shard })
        let copies = try #require(shown.copies)
        #expect(shown.node == bench.primary(of: shard) && copies.copies.first?.node == shown.node)
        #expect(copies.epoch == Epoch(2) && copies.inSync == 2 && copies.copies.count == 3 && copies.isDegraded)
        #expect(copies.copies.map(\.role) == [.primary, .inSync, .learner] && copies.copies.last?.replica == behind)
        // It answers as before, with less to spare.
        #expect(status.complete && status.problems.count == 1)
        #expect(status.problems.first?.contains("1 of 4 shards have copies that are not in sync (2 of 3") == true)
        #expect(status.anonymousProblems == ["1 of 1 collections have copies that are not in sync"])
    }
}
