import FaceModel
import Replication
import Synchronization
import Testing

@testable import ClusterModel
@testable import ClusterTransport

/// Letters and reports from one node to another, over mutual TLS on the loopback.
@Suite struct RemoteReplicasTests {
    private func withReplicas(
        _ replicas: TestReplicas?, settings: TransportSettings = .quick, asker: PeerRole = .shardNode,
        _ body: (RemoteReplicas, TestNode) async throws -> Void
    ) async throws {
        try await withNode(TestShards(), replicas: replicas, settings: settings, asker: asker) { node in
            try await body(RemoteReplicas(node.connections, settings: settings), node)
        }
    }

    @Test func lettersArriveWholeAndInOrder() async throws {
        let replicas = TestReplicas()
        try await withReplicas(replicas) { remote, node in
            var arbitrary = Arbitrary(seed: 9)
            var sent: [ReplicaLetter] = []
            for _ in 0..<10 {
                for _ in 0..<100 {
                    sent.append(arbitrary.letter())
                    remote.send(sent[sent.count - 1], to: node.id)
                }
                try await eventually { replicas.letters.count == sent.count }
            }
            #expect(replicas.letters == sent)
        }
    }

    @Test func largeLettersGoOneByOneAndKeepTheirOrder() async throws {
        let replicas = TestReplicas()
        try await withReplicas(replicas) { remote, node in
            let sizes = [3 << 20, 100, 6 << 20, 5 << 20, 10, 20, 2 << 20, 1 << 20]
            for (index, bytes) in sizes.enumerated() {
                remote.send(.numbered(UInt64(index) + 1, bytes: bytes), to: node.id)
            }
            try await eventually { replicas.letters.count == sizes.count }
            #expect(replicas.letters.map(\.number) == (1...8).map { UInt64($0) })
            #expect(replicas.letters.map { $0.records.reduce(0) { $0 + $1.payload.count } } == sizes)
        }
    }

    @Test func aLetterThatNoFrameHoldsIsLostAlone() async throws {
        let replicas = TestReplicas()
        try await withReplicas(replicas) { remote, node in
            remote.send(.numbered(1, bytes: 33 << 20), to: node.id)
            remote.send(.numbered(2, bytes: 31 << 20), to: node.id)
            remote.send(.numbered(3), to: node.id)
            try await eventually { replicas.letters.count == 2 }
            #expect(replicas.letters.map(\.number) == [2, 3])
        }
    }

    /// A node whose address comes late: the first letter is under way as long, the others wait behind it.
    private func withLateNode(
        _ settings: TransportSettings, _ replicas: TestReplicas,
        _ body: (RemoteReplicas, NodeID, _ appears: Signal) async throws -> Void
    ) async throws {
        let signal = Signal()
        try await withNode(TestShards(), replicas: replicas) { node in
            let late = NodeConnections(identity: try node.cluster.identity(.shardNode, "n2"), settings: settings) { _ in
                await signal.wait()
                return node.address
            }
            try await body(RemoteReplicas(late, settings: settings), node.id, signal)
            late.shut()
        }
    }

    @Test func aFullQueueLosesWhatFindsNoRoomAndNothingElse() async throws {
        var settings = TransportSettings.quick
        settings.postTimeout = .seconds(60)
        let replicas = TestReplicas()
        try await withLateNode(settings, replicas) { remote, node, appears in
            remote.send(.numbered(0), to: node)
            try await eventually { remote.waiting(for: node) == 0 }
            for number in 1...3_000 { remote.send(.numbered(UInt64(number)), to: node) }
            #expect(remote.waiting(for: node) == settings.lettersMax)
            appears.fire()
            try await eventually { replicas.letters.count == 1 + settings.lettersMax }
            remote.send(.numbered(9_999), to: node)
            try await eventually { replicas.letters.last?.number == 9_999 }
            #expect(replicas.letters.dropLast().map(\.number) == (0...UInt64(settings.lettersMax)).map { $0 })
        }
    }

    @Test func aNodeThatIsGoneLosesWhatWaitsAndIsWrittenToWhenItIsBack() async throws {
        let cluster = try TestCluster()
        let id = try cluster.node("n1")
        let address = Mutex<NodeAddress?>(nil)
        let settings = TransportSettings.quick
        let connections = NodeConnections(identity: try cluster.identity(.shardNode, "n2"), settings: settings) { _ in
            address.withLock { $0 }
        }
        let remote = RemoteReplicas(connections, settings: settings)
        for life in 1...3 {
            for number in 0..<500 { remote.send(.numbered(UInt64(number)), to: id) }
            try await eventually { remote.waiting(for: id) == 0 }
            let replicas = TestReplicas()
            let server = NodeServer(
                shards: TestShards(), ledger: nil, replicas: replicas, identity: try cluster.identity(.shardNode, "n1"),
                settings: settings)
            let bound = try await server.start(at: NodeAddress(host: "127.0.0.1", port: 0))
            address.withLock { $0 = bound }
            try await eventually {
                remote.send(.numbered(UInt64(life) * 1_000), to: id)
                return replicas.letters.contains { $0.number == UInt64(life) * 1_000 }
            }
            await server.stop(grace: .zero)
            address.withLock { $0 = nil }
        }
        connections.shut()
        remote.send(.numbered(1), to: id)
        try await eventually { remote.waiting(for: id) == 0 }
    }

    @Test func lettersPassANodeThatAnswersAsManyRequestsAsItMay() async throws {
        var settings = TransportSettings.quick
        settings.requestsInFlightMax = 1
        let (entered, leave) = (Signal(), Signal())
        var answers = TestShards.Answers()
        answers.vector = { _, _ in
            entered.fire()
            await leave.wait()
            return nil
        }
        let replicas = TestReplicas { _ in .sample }
        try await withNode(TestShards(answers), replicas: replicas, settings: settings) { node in
            async let vector = node.remote.vector(FaceID(Bits128(high: 0, low: 1)), node.call())
            await entered.wait()
            let connections = NodeConnections(
                identity: try node.cluster.identity(.shardNode, "n2"), settings: settings
            ) { _ in node.address }
            let remote = RemoteReplicas(connections)
            remote.send(.numbered(5), to: node.id)
            try await eventually { replicas.letters.map(\.number) == [5] }
            let report = await remote.report(of: ReplicaLetter.numbered(1).shard, on: node.id, deadline: .soon)
            #expect(report == .sample)
            leave.fire()
            let answer = try await vector
            #expect(answer == nil)
            connections.shut()
        }
    }

    @Test func reportsComeBackOrAreNil() async throws {
        let known = ReplicaLetter.numbered(1).shard
        let replicas = TestReplicas { $0 == known ? .sample : nil }
        try await withReplicas(replicas) { remote, node in
            #expect(await remote.report(of: known, on: node.id, deadline: .soon) == .sample)
            let other = ShardID(Bits128(high: 0, low: 1))
            #expect(await remote.report(of: other, on: node.id, deadline: .soon) == nil)
            let nobody = try node.cluster.node("n9")
            #expect(await remote.report(of: known, on: nobody, deadline: .soon) == nil)
            #expect(await remote.report(of: known, on: node.id, deadline: .now - .seconds(1)) == nil)
        }
        try await withReplicas(nil) { remote, node in
            #expect(await remote.report(of: known, on: node.id, deadline: .soon) == nil)
            remote.send(.numbered(1), to: node.id)
            try await eventually { remote.waiting(for: node.id) == 0 }
        }
    }

    @Test func aReportIsWaitedForUntilItsDeadline() async throws {
        let never = Signal()
        let replicas = TestReplicas { _ in
            await never.wait()
            return .sample
        }
        try await withReplicas(replicas) { remote, node in
            let shard = ReplicaLetter.numbered(1).shard
            #expect(await remote.report(of: shard, on: node.id, deadline: .now + .milliseconds(200)) == nil)
        }
    }

    @Test func filesAreLentInChunksUntilTheyAreReleased() async throws {
        let replicas = TestReplicas()
        let listing = CopyListing(
            number: 1 << 60, end: LogPoint(epoch: Epoch(7), index: LogIndex(900)),
            runs: [.init(epoch: Epoch(2), first: LogIndex(1)), .init(epoch: Epoch(7), first: LogIndex(400))],
            files: [
                .init(name: "state.sqlite", bytes: 5 << 30, digest: (0..<32).map { UInt8($0) }),
                .init(name: "segments/MANIFEST", bytes: 0, digest: [UInt8](repeating: 1, count: 32)),
            ])
        try await withReplicas(replicas) { remote, node in
            let shard = ReplicaLetter.numbered(1).shard
            let receiver = ReplicaID(Bits128(high: 1, low: 9))
            #expect(await remote.listing(of: shard, on: node.id, for: receiver, deadline: .soon) == nil)
            replicas.lent.withLock { $0.listing = listing }
            #expect(await remote.listing(of: shard, on: node.id, for: receiver, deadline: .soon) == listing)
            var chunk = CopyChunk(
                number: listing.number, file: "state.sqlite", offset: 3 << 30 | 5, bytes: CopyListing.chunkBytes)
            let bytes = await remote.read(chunk, of: shard, on: node.id, deadline: .soon)
            #expect(bytes == [UInt8](repeating: 5, count: CopyListing.chunkBytes))
            chunk.bytes += 1
            #expect(await remote.read(chunk, of: shard, on: node.id, deadline: .soon) == nil)
            (chunk.bytes, chunk.number) = (1, 4)
            #expect(await remote.read(chunk, of: shard, on: node.id, deadline: .soon) == nil)
            await remote.release(listing.number, of: shard, on: node.id)
            #expect(replicas.lent.withLock { $0.released } == [listing.number])
        }
    }

    @Test func facesAreGivenForARepair() async throws {
        let replicas = TestReplicas()
        let faces = (0..<5).map { FaceID(Bits128(high: 7, low: $0)) }
        try await withReplicas(replicas) { remote, node in
            let shard = ReplicaLetter.numbered(1).shard
            #expect(await remote.rows(of: faces, shard, on: node.id, deadline: .soon) == nil, "no copy is here")
            replicas.faces.withLock { $0 = [faces[1], faces[4]] }
            let rows = await remote.rows(of: faces, shard, on: node.id, deadline: .soon)
            #expect(rows == [faces[1], faces[4]].map(\.bits.bytes))
            #expect(await remote.rows(of: [faces[0]], shard, on: node.id, deadline: .soon) == [])
            let many = (0...UInt64(Limits.batchFacesMax)).map { FaceID(Bits128(high: 7, low: $0)) }
            #expect(await remote.rows(of: many, shard, on: node.id, deadline: .soon) == nil)
        }
    }

    @Test(arguments: PeerRole.allCases) func aRoleMayAskItsOwnMethodsOnly(_ role: PeerRole) async throws {
        let replicas = TestReplicas { _ in .sample }
        try await withReplicas(replicas, asker: role) { remote, node in
            let shard = ReplicaLetter.numbered(1).shard
            let report = await remote.report(of: shard, on: node.id, deadline: .soon)
            #expect((report == .sample) == (role == .shardNode || role == .operator))
            let call = try #require(WireCall(request: RequestID(shard.bits), deadline: .soon, now: .now))
            let posted: Result<WirePostAnswer, CallFailure> = await ask(
                node, .post, WirePostRequest([.numbered(1)], call))
            #expect((replicas.letters.count == 1) == (role == .shardNode))
            if case .failure(.failed(.forbidden)) = posted {} else { #expect(role == .shardNode || role == .etcd) }
            replicas.lent.withLock { $0.listing = CopyListing(number: 1, end: .zero, runs: [], files: []) }
            let listing = await remote.listing(
                of: shard, on: node.id, for: ReplicaID(shard.bits), deadline: .soon)
            #expect((listing != nil) == (role == .shardNode))
            let searched = await Result { () async throws(ShardError) in try await node.remote.statistics(node.call()) }
            if case .success = searched { #expect(role == .coordinator) } else { #expect(role != .coordinator) }
        }
    }

    private func ask<Request: WireRequest, Answer: WireAnswer>(
        _ node: TestNode, _ method: ClusterTransport.Method, _ message: Request
    ) async -> Result<Answer, CallFailure> {
        do throws(CallFailure) {
            return .success(
                try await node.connections.ask(
                    node.id, method, message, deadline: .soon, shard: ReplicaLetter.numbered(1).shard))
        } catch {
            return .failure(error)
        }
    }
}

extension ContinuousClock.Instant {
    fileprivate static var soon: ContinuousClock.Instant { .now + .seconds(60) }
}

extension Result {
    fileprivate init(_ body: () async throws(Failure) -> Success) async {
        do throws(Failure) { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
