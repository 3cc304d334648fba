import ClusterModel
import FaceModel
import KeyHierarchy
import TestBench
import Testing

@testable import Coordinator

/// Collections whose making or deleting is cut short, maps that change, and the status of all this.
@Suite struct LifecycleTests {
    private func rewrite(_ cluster: ClusterTests.Cluster, _ change: (inout CollectionMap) -> Void) async throws {
        let register = try await cluster.bench.map()
        guard case .map(var map) = register.value else { return }
        change(&map)
        let outcome = try await cluster.bench.controlPlane.commit(
            RegisterTransaction([.put(.map(map), expecting: register.revision)]))
        guard case .committed = outcome else { return #expect(Bool(false), "\(outcome)") }
    }

    @Test func aCollectionThatIsNotMadeIsFinishedByWhoeverTouchesIt() async throws {
        let cluster = try await ClusterTests.cluster(faces: 0)
        for node in cluster.nodes { node.loseFiles() }
        try await rewrite(cluster) { $0.made = false }
        let status = await cluster.index.status()
        #expect(!status.complete && status.collections.first?.unavailable == "its shards are not made yet")
        #expect(try await cluster.search().candidates.isEmpty)
        #expect(try await cluster.map().made)
        #expect(cluster.nodes.allSatisfy { $0.shardsOnDisk.count == 1 })
    }

    @Test func afterThatMissingFilesAreALossAndNoEmptyShard() async throws {
        let cluster = try await ClusterTests.cluster()
        cluster.nodes[2].loseFiles()
        let error = await #expect(throws: CoordinatorError.self) { try await cluster.search() }
        guard case .incomplete(4, 3, let missing)? = error else { return #expect(Bool(false)) }
        guard case .damaged? = missing.first?.reason else { return #expect(Bool(false), "\(missing)") }
        #expect(cluster.nodes[2].shardsOnDisk.isEmpty)
        #expect(await !cluster.index.status().complete)
    }

    @Test func aCollectionThatCannotBeMadeIsWithdrawn() async throws {
        let nodes = (0..<4).map { _ in MemoryNode() }
        let bench = try await ClusterBench(nodes, shardsPerCollection: 4)
        let name = try #require(CollectionName("c"))
        bench.shards.breakCalls { operation, call in
            operation == .open && call.node == bench.nodes[3] ? .fail(.busy(call.shard, reason: "queue")) : nil
        }
        let error = await #expect(throws: CoordinatorError.self) {
            try await bench.index.createCollection(name, tags: [:], in: bench.context())
        }
        guard case .incomplete(4, 3, _)? = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(nodes.allSatisfy { $0.shardsOnDisk.isEmpty })
        let left = try await bench.controlPlane.list(.maps) + bench.controlPlane.list(.allCollections)
        #expect(left.isEmpty)
        bench.shards.heal()
        _ = try await bench.index.createCollection(name, tags: [:], in: bench.context())
    }

    @Test func aMirrorThatLagsBehindTheCreationHarmsNothing() async throws {
        let nodes = (0..<4).map { _ in MemoryNode() }
        let bench = try await ClusterBench(nodes)
        let name = try #require(CollectionName("c"))
        bench.controlPlane.freeze(reads: 1_000)
        _ = try await bench.index.createCollection(name, tags: [:], shards: 4, in: bench.context())
        #expect(nodes.allSatisfy { $0.shardsOnDisk.count == 1 })
        bench.controlPlane.freeze(reads: 0)
        let register = try await bench.map()
        guard case .map(let map) = register.value else { return }
        #expect(map.made)
        // What another coordinator sees through a mirror that still shows the map as it was written first.
        let collection = try await bench.index.handle(name, tenant: .embedded, bench.context().scope).collection
        var stale = map
        stale.made = false
        let handle = try bench.index.handle(collection, stale, revision: Revision(register.revision.value - 1))
        let made = try await bench.index.makeShards(of: handle, bench.context().scope)
        #expect(made.map.made && nodes.allSatisfy { $0.shardsOnDisk.count == 1 })
        // And when it was deleted meanwhile, nothing is left of what was made again.
        try await bench.index.deleteCollection(name, in: bench.context())
        await #expect(throws: CoordinatorError.collectionNotFound(name)) {
            try await bench.index.makeShards(of: handle, bench.context().scope)
        }
        #expect(nodes.allSatisfy { $0.shardsOnDisk.isEmpty })
    }

    @Test func newShardsGoOnlyToNodesThatAnswer() async throws {
        let bench = try await ClusterBench((0..<3).map { _ in MemoryNode() })
        bench.shards.silence([bench.nodes[1]])
        _ = try await bench.index.createCollection(
            try #require(CollectionName("c")), tags: [:], shards: 4, in: bench.context())
        guard case .map(let map) = try await bench.map().value else { return }
        #expect(map.shards.map(\.node) == [0, 2, 0, 2].map { bench.nodes[$0] })
        bench.shards.silence(Set(bench.nodes))
        await #expect(throws: CoordinatorError.noNodes) {
            try await bench.index.createCollection(try #require(CollectionName("d")), tags: [:], in: bench.context())
        }
    }

    @Test func aDeletionIsFinishedWhenTheNodeIsBack() async throws {
        let cluster = try await ClusterTests.cluster()
        cluster.bench.shards.breakCalls { operation, call in
            operation == .drop && call.node == cluster.bench.nodes[1]
                ? .fail(.unreachable(call.shard, node: call.node, reason: "reset", outcomeUnknown: false)) : nil
        }
        try await cluster.index.deleteCollection(cluster.name, in: cluster.bench.context())
        await #expect(throws: CoordinatorError.collectionNotFound(cluster.name)) { try await cluster.search() }
        #expect(cluster.nodes.map(\.shardsOnDisk.count) == [0, 1, 0, 0])
        #expect(try await cluster.bench.coordinator().finishDeletions() == 1)
        cluster.bench.shards.heal()
        // The name is free at once; the new collection is not what the sweep removes.
        _ = try await cluster.index.createCollection(cluster.name, tags: [:], shards: 2, in: cluster.bench.context())
        #expect(try await cluster.bench.coordinator().finishDeletions() == 0)
        #expect(try await cluster.bench.controlPlane.list(.maps).count == 1)
        #expect(cluster.nodes.reduce(0) { $0 + $1.shardsOnDisk.count } == 2)
        _ = try await cluster.index.describeCollection(cluster.name, in: cluster.bench.context())
    }

    @Test func whatAnotherCoordinatorDidIsSeenThroughAMirrorThatLags() async throws {
        let cluster = try await ClusterTests.cluster()
        let context = try cluster.bench.context()
        let other = try #require(CollectionName("other"))
        cluster.bench.controlPlane.freeze(reads: 1_000)
        _ = try await cluster.bench.coordinator().createCollection(other, tags: [:], shards: 2, in: context)
        #expect(try await cluster.index.describeCollection(other, in: context).faceCount == 0)
        // One that the mirror still shows, and whose shards are gone, is gone.
        try await cluster.bench.coordinator().deleteCollection(cluster.name, in: context)
        await #expect(throws: CoordinatorError.collectionNotFound(cluster.name)) { try await cluster.search() }
    }

    @Test func aDeletionDuringASearchIsNoIncompleteAnswer() async throws {
        let cluster = try await ClusterTests.cluster()
        let register = try #require(try await cluster.bench.controlPlane.list(.allCollections).first)
        let map = try await cluster.map()
        let handle = try await cluster.index.handle(cluster.name, tenant: .embedded, cluster.bench.context().scope)
        _ = try await cluster.bench.controlPlane.commit(
            RegisterTransaction([.delete(register.value.key, expecting: register.revision)]))
        for node in cluster.nodes { node.loseFiles() }
        await #expect(throws: CoordinatorError.collectionNotFound(cluster.name)) {
            try await cluster.index.complete(
                ShardAnswers<ShardStatistics>(), from: handle, cluster.bench.context().scope
            ) { (_, call) async throws(ShardError) in try await cluster.bench.shards.statistics(call) }
        }
        #expect(map.shards.count == 4)
    }

    /// Two shards exchange their places on the nodes: a newer map says so, and those who hold the older find out.
    @Test func aMapThatRoseIsFollowedAlsoThroughAMirrorThatLags() async throws {
        let cluster = try await ClusterTests.cluster(shards: 2)
        let context = try cluster.bench.context()
        let before = try await cluster.search()
        let old = try await cluster.map()
        cluster.bench.controlPlane.freeze(reads: 1_000)
        try await rewriteCommitted(cluster, old)
        let moved = old.shards[0]
        cluster.bench.shards.breakCalls { operation, call in
            operation != .open && call.shard == moved.id && call.roots == moved.roots && call.request == context.request
                ? .fail(.wrongOwner(call.shard, owned: [])) : nil
        }
        // The new map names the same faces under a shard of another name.
        let after = try await cluster.search()
        #expect(after.candidates.map(\.face) == before.candidates.map(\.face))
        #expect(after.coverage == before.coverage)
    }

    /// Version 2: shard 0 has become another shard, whose files hold the same faces.
    private func rewriteCommitted(_ cluster: ClusterTests.Cluster, _ old: CollectionMap) async throws {
        let register = try await cluster.bench.map()
        let heir = CollectionMap.Shard(
            id: ShardID(Bits128(high: 77, low: 77)), node: old.shards[1].node, roots: old.shards[0].roots)
        let handle = try await cluster.index.handle(cluster.name, tenant: .embedded, cluster.bench.context().scope)
        let scope = try cluster.bench.context().scope
        try await cluster.bench.shards.open(
            handle.descriptor(of: heir, ReplicaID(heir.id.bits)), .making, scope.call(heir))
        let faces = try await cluster.bench.shards.list(after: nil, limit: 1_000, scope.call(old.shards[0])).faces
        var copies: [NewFace] = []
        for face in faces {
            let vector = try #require(try await cluster.bench.shards.vector(face.id, scope.call(old.shards[0])))
            copies.append(
                NewFace(vector: vector, externalImageID: face.externalImageID, record: face.record, token: .none))
        }
        _ = try await cluster.bench.shards.enrol(copies, scope.call(heir))
        let newer = CollectionMap(
            collection: old.collection, version: 2, made: true, shards: [heir, old.shards[1]])
        let outcome = try await cluster.bench.controlPlane.commit(
            RegisterTransaction([.put(.map(newer), expecting: register.revision)]))
        guard case .committed = outcome else { return #expect(Bool(false), "\(outcome)") }
    }

    @Test func aShardThatNeverAgreesIsNamedAtTheDeadline() async throws {
        let cluster = try await ClusterTests.cluster()
        let place = try await cluster.map().shards[0]
        cluster.bench.shards.breakCalls { operation, call in
            operation == .search && call.shard == place.id ? .fail(.wrongOwner(call.shard, owned: [])) : nil
        }
        let error = await #expect(throws: CoordinatorError.self) {
            try await cluster.search(cluster.bench.context(within: .seconds(4)))
        }
        guard case .incomplete(4, 3, let missing)? = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        // The deadline may also fall while it is asked once more.
        let reasons: [ShardError] = [.wrongOwner(place.id, owned: []), .deadlineExceeded(place.id)]
        #expect(missing.map(\.shard) == [place.id] && missing.map(\.reason).allSatisfy(reasons.contains))
        // Asked more than once, but not without pause.
        let asked = cluster.bench.shards.calls.count { $0.call.shard == place.id }
        #expect(asked > 1 && asked < 30)
    }

    @Test func aMapOfRootsUnknownHereIsAnError() async throws {
        let cluster = try await ClusterTests.cluster()
        try await rewrite(cluster) { $0.shards[0].roots = [LeafID(9)] }
        let error = await #expect(throws: CoordinatorError.self) { try await cluster.search() }
        guard case .controlPlane(.unreadable)? = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
    }

    @Test func aControlPlaneThatIsDownIsAnErrorAndNoStop() async throws {
        let cluster = try await ClusterTests.cluster()
        cluster.bench.controlPlane.fail("no quorum")
        await #expect(throws: CoordinatorError.controlPlane(.unavailable(reason: "no quorum", outcomeUnknown: false))) {
            try await cluster.search()
        }
        #expect(await cluster.index.status().controlPlane != nil)
        cluster.bench.controlPlane.fail(nil)
        #expect(try await cluster.search().missing.isEmpty)
    }

    @Test func theStatusShowsNodesAndShardsAndIsNotHeldUp() async throws {
        let cluster = try await ClusterTests.cluster()
        var status = await cluster.bench.coordinator(staleness: "the mirror is 3 s old").status()
        #expect(status.complete && status.problems == ["control plane: the mirror is 3 s old"])
        #expect(status.nodes.map(\.node) == cluster.bench.nodes)
        #expect(status.collections.first?.statistics.reduce(0) { $0 + $1.faces } == 40)
        let silent = cluster.bench.nodes[2]
        cluster.bench.shards.silence([silent])
        status = await cluster.index.status()
        // It serves what is there, and says that this is not all.
        #expect(status.ready)
        let shards = try #require(status.collections.first).shards
        #expect(!status.complete && shards.count == 4)
        for shard in shards {
            if case .failure(let error) = shard.statistics {
                #expect(shard.node == silent && error.sentence == "cannot be reached: it does not answer")
            } else {
                #expect(shard.node != silent)
            }
        }
        #expect(status.problems.contains { $0.hasPrefix("node node-2: ") })
        // A node that restarted is opened by the status itself, so that readiness comes back without traffic; where the
        // machine is busy, by a later one, since a status waits for a second only.
        cluster.bench.shards.heal()
        for node in cluster.nodes { node.restart() }
        var complete = false
        for _ in 0..<30 where !complete { complete = await cluster.index.status().complete }
        #expect(complete)
    }

    @Test func aStartOpensWhatIsThereAndLogsWhatIsNot() async throws {
        let cluster = try await ClusterTests.cluster()
        for node in cluster.nodes { node.restart() }
        cluster.bench.shards.silence([cluster.bench.nodes[0]])
        let other = cluster.bench.coordinator()
        try await other.start(within: .seconds(1))
        cluster.bench.shards.heal()
        cluster.bench.shards.forgetCalls()
        _ = try await cluster.search()
        #expect(cluster.bench.shards.calls.count { $0.operation == .open } == 1)
    }
}
