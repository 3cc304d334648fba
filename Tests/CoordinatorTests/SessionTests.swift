import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Reads at any copy, as new as the client has seen or as it bounds.
@Suite struct SessionTests {
    typealias Cluster = ClusterTests.Cluster

    private func cluster() async throws -> Cluster {
        try await ClusterTests.cluster(replication: CopiesTests.three)
    }

    private func context(_ cluster: Cluster, _ session: ReadSession) throws -> CallContext {
        var context = try cluster.bench.context()
        context.session = session
        return context
    }

    /// What a client has seen that has just enrolled the same faces again.
    private func token(_ cluster: Cluster) async throws -> SessionToken {
        let session = ReadSession()
        let vectors = ClusterTests.vectors(40, seed: 1).map { VectorToIndex(vector: $0, externalImageID: nil) }
        _ = try await cluster.index.indexVectors(
            vectors, collection: cluster.name, in: context(cluster, session))
        return try #require(session.token)
    }

    private func search(_ cluster: Cluster, _ session: ReadSession, mode: SearchMode = .exhaustive) async throws
        -> SearchAnswer
    {
        try await cluster.index.searchFaces(
            byVector: ClusterTests.vectors(1, seed: 1)[0], limit: 5, threshold: .cosine(-1), mode: mode,
            collection: cluster.name, in: context(cluster, session))
    }

    @Test func whatAClientHasSeenIsText() async throws {
        let cluster = try await cluster()
        let token = try await token(cluster)
        #expect(token.positions.count == 4 && SessionToken(token.text) == token)
        let cut = String(token.text.dropLast(4))
        for text in ["", "x", "AQ==", cut, token.text + token.text, "Ag" + token.text.dropFirst(2)] {
            #expect(SessionToken(text) == nil, "\(text)")
        }
        // Nodes take no position beyond it, so one that is made up is the client's mistake, and told so here.
        for (lsn, isOne) in [(Limits.positionMax, true), (Limits.positionMax + 1, false)] {
            var made = token
            for shard in token.positions.keys { made.positions[shard] = ShardPosition(Generation(0), LogIndex(lsn)) }
            #expect((SessionToken(made.text) != nil) == isOne)
        }
    }

    @Test func everyCopyIsAskedInTurns() async throws {
        let cluster = try await cluster()
        let token = try await token(cluster)
        for consistency in [ReadConsistency.session, .bounded(milliseconds: 500)] {
            cluster.bench.shards.forgetCalls()
            for _ in 0..<60 {
                let session = ReadSession(consistency, token: token)
                let answer = try await search(cluster, session)
                #expect(answer.coverage.facesScored == 40 && session.token == token)
            }
            let calls = cluster.bench.shards.calls.map(\.call)
            for shard in try await cluster.map().shards {
                let asked = calls.filter { $0.shard == shard.id }
                #expect(Set(asked.map(\.node)).count == 3)
                let level: ReadLevel =
                    switch consistency {
                    case .session: .session(token.positions[shard.id] ?? .zero)
                    default: .bounded(milliseconds: 500)
                    }
                #expect(asked.allSatisfy { $0.level == level })
            }
        }
    }

    @Test func aCopyThatDoesNotAnswerIsPassedOver() async throws {
        let cluster = try await cluster()
        let token = try await token(cluster)
        let gone = cluster.bench.nodes[1]
        cluster.bench.shards.breakCalls { _, call in
            guard call.node == gone else { return nil }
            return .fail(.unreachable(call.shard, node: call.node, reason: "refused", outcomeUnknown: false))
        }
        for _ in 0..<20 {
            #expect(try await search(cluster, ReadSession(.session, token: token)).coverage.facesScored == 40)
            let page = try await cluster.index.listFaces(
                collection: cluster.name, only: nil, after: nil, limit: 100,
                in: context(cluster, ReadSession(.session, token: token)))
            #expect(page.faces.count == 40)
        }
    }

    @Test func writesAndStrongReadsGoToThePrimaryAndTellWhatWasSeen() async throws {
        let cluster = try await cluster()
        let session = ReadSession()
        #expect(session.token == nil)
        _ = try await search(cluster, session)
        let seen = try #require(session.token)
        let next = ReadSession(.session, token: seen)
        _ = try await cluster.index.deleteFaces(
            [cluster.faces[0].id], collection: cluster.name, in: context(cluster, next))
        #expect(cluster.bench.shards.calls.allSatisfy { cluster.bench.primary(of: $0.call.shard) == $0.call.node })
        let now = try #require(next.token)
        #expect(seen.positions.allSatisfy { shard, position in now.positions[shard].map { $0 >= position } ?? false })
    }

    @Test func aSessionIsOfItsCollection() async throws {
        let cluster = try await cluster()
        let token = try await token(cluster)
        try await cluster.index.deleteCollection(cluster.name, in: cluster.bench.context())
        _ = try await cluster.index.createCollection(
            cluster.name, tags: [:], own: OwnModel(name: "mine", version: "1", dimension: 64), shards: 4,
            in: cluster.bench.context())
        for consistency in [ReadConsistency.strong, .session] {
            await #expect(throws: CoordinatorError.session(.otherCollection)) {
                _ = try await search(cluster, ReadSession(consistency, token: token))
            }
        }
    }

    @Test func anAcceptedLossEndsTheSessionsBeforeIt() async throws {
        let cluster = try await cluster()
        let token = try await token(cluster)
        let shard = try await cluster.map().shards[2]
        var register = try #require(cluster.bench.copies(of: shard.id)).0
        register.generation = Generation(1)
        cluster.bench.controlPlane.overwrite(.shard(register))
        await #expect(throws: CoordinatorError.session(.beforeLoss(shard.id))) {
            _ = try await search(cluster, ReadSession(.session, token: token))
        }
        #expect(try await search(cluster, ReadSession(.bounded(milliseconds: 9), token: nil)).missing.isEmpty)
    }

    /// As after a split, for which the client's word is newer than the coordinator's mirror, or older.
    @Test func shardsThatTheCollectionHasNotAreForgotten() async throws {
        let cluster = try await cluster()
        let token = try await token(cluster)
        var before = token
        before.positions[ShardID(Bits128(high: 5, low: 5))] = ShardPosition(Generation(3), LogIndex(99))
        let session = ReadSession(.session, token: before)
        #expect(try await search(cluster, session).missing.isEmpty)
        #expect(session.token == token)
    }

    @Test func aRoutedSearchIsStrong() async throws {
        let cluster = try await cluster()
        await #expect(throws: CoordinatorError.session(.routedNeedsStrong)) {
            _ = try await search(
                cluster, ReadSession(.bounded(milliseconds: 100)), mode: .routed(coverage: 0.95))
        }
        #expect(cluster.bench.ledger.entries.isEmpty)
    }
}
