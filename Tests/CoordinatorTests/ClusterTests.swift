import AuditLedger
import ClusterModel
import FaceModel
import KeyHierarchy
import TestBench
import Testing

@testable import Coordinator

/// The coordinator over several nodes in memory, some of which misbehave.
@Suite struct ClusterTests {
    private static let dimension = 64

    struct Cluster {
        var bench: ClusterBench
        var nodes: [MemoryNode]
        var name: CollectionName
        var faces: [StoredFaceSummary]
        var index: FaceIndex { bench.index }

        func map() async throws -> CollectionMap {
            guard case .map(let map) = try await bench.map().value else {
                throw ControlPlaneError.unreadable(path: "", reason: "")
            }
            return map
        }
    }

    static func vectors(_ count: Int, seed: UInt64) -> [Embedding] {
        var random = Seeded(seed)
        return (0..<count).map { _ in
            Embedding(
                (0..<dimension).map { _ in
                    (0..<4).reduce(Float(-2)) { sum, _ in sum + Float.random(in: 0..<1, using: &random) }
                })
        }
    }

    /// Four nodes, a collection of `shards` shards, `faces` faces in it.
    static func cluster(
        shards: Int = 4, faces: Int = 40, replication: ReplicationSettings = .single
    ) async throws -> Cluster {
        let nodes = (0..<4).map { _ in MemoryNode() }
        let bench = try await ClusterBench(nodes, replication: replication)
        let name = try #require(CollectionName("booking"))
        _ = try await bench.index.createCollection(
            name, tags: [:], own: OwnModel(name: "mine", version: "1", dimension: dimension), shards: shards,
            in: bench.context())
        var cluster = Cluster(bench: bench, nodes: nodes, name: name, faces: [])
        cluster.faces = try await cluster.enrol(vectors(faces, seed: 1))
        bench.shards.forgetCalls()
        return cluster
    }

    @Test func shardsAreSpreadAndFacesHaveOneHome() async throws {
        let cluster = try await Self.cluster()
        let map = try await cluster.map()
        #expect(map.made && map.version == 1 && Set(map.shards.map(\.node)).count == 4)
        #expect(map.shards.map(\.roots) == (0..<4).map { [LeafID(UInt32($0))] })
        #expect(Set(cluster.faces.map(\.id)).count == 40)
        #expect(cluster.nodes.allSatisfy { $0.shardsOnDisk.count == 1 })
        // Each face alone, in another order, under the same name: the same home, hence the same id.
        let again = try await cluster.enrol(Self.vectors(40, seed: 1).reversed())
        #expect(again.map(\.id) == cluster.faces.map(\.id).reversed())
        let one = try await cluster.enrol([Self.vectors(40, seed: 1)[17]])
        #expect(one.map(\.id) == [cluster.faces[17].id])
        let count = try await cluster.index.describeCollection(cluster.name, in: cluster.bench.context()).faceCount
        #expect(count == 40)
    }

    @Test func everyCallCarriesDeadlineAndRequest() async throws {
        let cluster = try await Self.cluster()
        let context = try cluster.bench.context()
        _ = try await cluster.search(context)
        let calls = cluster.bench.shards.calls
        #expect(calls.count == 4)
        #expect(calls.allSatisfy { $0.call.request == context.request && $0.call.deadline < context.deadline })
        #expect(Set(calls.map(\.call.roots)).count == 4)
    }

    @Test func aRestartedNodeIsOpenedAndNobodySeesIt() async throws {
        let cluster = try await Self.cluster()
        let before = try await cluster.search()
        for node in cluster.nodes { node.restart() }
        let after = try await cluster.search()
        #expect(after.candidates.map(\.face) == before.candidates.map(\.face) && after.missing.isEmpty)
        let context = try cluster.bench.context()
        for operation in 0..<5 {
            cluster.nodes[1].restart()
            switch operation {
            case 0: #expect(try await cluster.enrol(Self.vectors(40, seed: 1)) == cluster.faces)
            case 1: #expect(try await cluster.list(pages: 7) == cluster.faces.map(\.id).sorted())
            case 2:
                let answer = try await cluster.index.searchFaces(
                    like: cluster.faces[3].id, limit: 5, threshold: .cosine(-1), collection: cluster.name, in: context)
                #expect(answer.candidates.count == 5)
            case 3:
                let answer = try await cluster.index.deleteFaces(
                    [cluster.faces[3].id, FaceID(Bits128(high: 0, low: 1))], collection: cluster.name, in: context)
                #expect(answer.deleted == [cluster.faces[3].id] && answer.notFound.count == 1)
            default:
                let count = try await cluster.index.describeCollection(cluster.name, in: context).faceCount
                #expect(count == 39)
            }
        }
    }

    @Test func listsArePagedInOrderWhateverTheShards() async throws {
        for shards in [1, 3, 4, 9] {
            let cluster = try await Self.cluster(shards: shards)
            let ids = cluster.faces.map(\.id).sorted()
            for size in [1, 7, 20, 39, 40, 41] { #expect(try await cluster.list(pages: size) == ids) }
            let some = Array(cluster.faces.map(\.id)[5..<25])
            #expect(try await cluster.list(pages: 6, only: some) == some.sorted())
        }
    }

    @Test func aCollectionHasOneToTheMaximumOfShards() async throws {
        let bench = try await ClusterBench([MemoryNode()])
        let name = try #require(CollectionName("c"))
        for shards in [0, -1, Limits.shardsPerCollectionMax + 1] {
            await #expect(throws: CoordinatorError.shardCount(asked: shards, max: Limits.shardsPerCollectionMax)) {
                try await bench.index.createCollection(name, tags: [:], shards: shards, in: bench.context())
            }
        }
        _ = try await bench.index.createCollection(
            name, tags: [:], shards: Limits.shardsPerCollectionMax, in: bench.context())
        guard case .map(let map) = try await bench.map().value else { return }
        #expect(map.shards.count == Limits.shardsPerCollectionMax)
    }

    @Test func twoCoordinatorsSeeTheSame() async throws {
        let cluster = try await Self.cluster()
        let other = cluster.bench.coordinator()
        let context = try cluster.bench.context()
        let probe = Self.vectors(1, seed: 9)[0]
        let here = try await cluster.search(probe: probe)
        let there = try await other.searchFaces(
            byVector: probe, limit: 10, threshold: .cosine(-1), collection: cluster.name, in: context)
        #expect(here.candidates.map(\.face) == there.candidates.map(\.face))
        #expect(here.candidates.map(\.cosine) == there.candidates.map(\.cosine))
        // Deleted by one and made again by it: the other has the new one, not what it remembers.
        try await other.deleteCollection(cluster.name, in: context)
        await #expect(throws: CoordinatorError.collectionNotFound(cluster.name)) { try await cluster.search() }
        _ = try await other.createCollection(
            cluster.name, tags: [:], own: OwnModel(name: "mine", version: "1", dimension: 64), shards: 2, in: context)
        #expect(try await cluster.search().candidates.isEmpty)
        let ids = try await cluster.enrol(Self.vectors(3, seed: 1)).map(\.id)
        #expect(Set(ids).isDisjoint(with: cluster.faces.map(\.id)))
        // A request of its own: the first one's session has seen the collection that is gone.
        let answer = try await other.searchFaces(
            byVector: probe, limit: 10, threshold: .cosine(-1), collection: cluster.name,
            in: cluster.bench.context())
        #expect(answer.candidates.count == 3)
    }

    @Test func coordinatorsThatCreateTheSameNameAtOnceMakeOne() async throws {
        let nodes = (0..<3).map { _ in MemoryNode() }
        let bench = try await ClusterBench(nodes)
        let name = try #require(CollectionName("race"))
        let context = try bench.context()
        let coordinators = (0..<8).map { _ in bench.coordinator() }
        let made = await withTaskGroup(of: Bool.self) { group in
            for coordinator in coordinators {
                group.addTask {
                    do throws(CoordinatorError) {
                        _ = try await coordinator.createCollection(name, tags: [:], shards: 3, in: context)
                        return true
                    } catch {
                        #expect(error == .collectionExists(name))
                        return false
                    }
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(made == 1)
        #expect(nodes.reduce(0) { $0 + $1.shardsOnDisk.count } == 3)
    }
}

extension ClusterTests.Cluster {
    func enrol(_ vectors: [Embedding], in context: CallContext? = nil) async throws -> [StoredFaceSummary] {
        try await index.indexVectors(
            vectors.map { VectorToIndex(vector: $0, externalImageID: nil) }, collection: name,
            in: try context ?? bench.context())
    }

    func search(_ context: CallContext? = nil, probe: Embedding? = nil) async throws -> SearchAnswer {
        try await index.searchFaces(
            byVector: probe ?? ClusterTests.vectors(1, seed: 9)[0], limit: 10, threshold: .cosine(-1),
            collection: name, in: try context ?? bench.context())
    }

    /// Every page of a listing, one after the other.
    func list(pages limit: Int, only ids: [FaceID]? = nil) async throws -> [FaceID] {
        var found: [FaceID] = []
        var token: String?
        repeat {
            let page = try await index.listFaces(
                collection: name, only: ids, after: token, limit: limit, in: bench.context())
            #expect(page.faces.count == limit || page.nextToken == nil)
            found += page.faces.map(\.id)
            token = page.nextToken
        } while token != nil
        return found
    }
}
