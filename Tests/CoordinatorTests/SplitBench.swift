import ClusterModel
import FaceModel
import Foundation
import ShardEngine
import StorageIO
import TestBench
import Testing

@testable import Coordinator

/// Two nodes with files, and a collection of one shard that is large enough to be split.
final class SplitBench {
    static let faces = 1_500

    struct Candidate: Equatable {
        var id: FaceID
        var score: UInt32
    }

    let root = NSTemporaryDirectory() + "facet-split-\(ProcessInfo.processInfo.globallyUniqueString)"
    let controlPlane = MemoryControlPlane()
    let cluster: ClusterBench
    let name: CollectionName
    private(set) var nodes: [ShardNode] = []

    init(faces count: Int = SplitBench.faces) async throws {
        var services: [ShardNode] = []
        for number in 0..<2 { services.append(try await Self.start(number, in: root, controlPlane)) }
        nodes = services
        cluster = try await ClusterBench(services, in: controlPlane)
        name = try #require(CollectionName("c"))
        _ = try await cluster.index.createCollection(
            name, tags: [:], own: OwnModel(name: "mine", version: "1", dimension: 64), shards: 1,
            in: cluster.context())
        _ = try await enrol(0..<count)
    }

    static func start(
        _ number: Int, in root: String, _ controlPlane: MemoryControlPlane
    ) async throws -> ShardNode {
        let data = DataDirectory(path: "\(root)/\(number)", files: POSIXFileSystem())
        try data.prepare()
        return ShardNode(
            directory: data.shards, files: POSIXFileSystem(), pool: ScanPool(threads: 1),
            surroundings: try await .alone(try ClusterBench.node(number), in: controlPlane))
    }

    /// New lives of both nodes.
    func restart() async throws {
        for number in nodes.indices {
            await nodes[number].stop()
            nodes[number] = try await Self.start(number, in: root, controlPlane)
            cluster.shards.replace(cluster.nodes[number], by: nodes[number])
        }
    }

    func vectors(_ range: Range<Int>) -> [VectorToIndex] {
        ClusterTests.vectors(range.upperBound, seed: 77)[range].map {
            VectorToIndex(vector: $0, externalImageID: nil)
        }
    }

    func enrol(_ range: Range<Int>, token: RequestToken = .none) async throws -> [FaceID] {
        var ids: [FaceID] = []
        let vectors = vectors(range)
        for start in stride(from: 0, to: vectors.count, by: 500) {
            let part = Array(vectors[start..<min(start + 500, vectors.count)])
            let context = try cluster.context(token: token)
            ids += try await cluster.index.indexVectors(part, collection: name, in: context).map(\.id)
        }
        return ids
    }

    func search(_ number: Int, limit: Int = 20) async throws -> [Candidate] {
        let answer = try await cluster.index.searchFaces(
            byVector: vectors(number..<number + 1)[0].vector, limit: limit, threshold: .cosine(-1),
            collection: name, in: cluster.context())
        return answer.candidates.map { Candidate(id: $0.face.id, score: $0.cosine.bitPattern) }
    }

    func shards() async throws -> [CollectionMap.Shard] {
        guard case .map(let map) = try await cluster.map().value else { return [] }
        return map.shards
    }

    func listed() async throws -> [FaceID] {
        var (ids, token): ([FaceID], String?) = ([], nil)
        repeat {
            let page = try await cluster.index.listFaces(
                collection: name, only: nil, after: token, limit: 1_000, in: cluster.context())
            ids += page.faces.map(\.id)
            token = page.nextToken
        } while token != nil
        return ids
    }

    /// Until the split has come to `stage`, or to its end.
    @discardableResult func split(
        _ shard: ShardID, until stage: SplitStage = .done, abort: Bool = false
    ) async throws -> SplitReport {
        for _ in 0..<2_000 {
            let report = try await cluster.index.splitShard(shard, abort: abort, in: cluster.context())
            if report.stage == stage || report.stage == .done || report.stage == .aborted { return report }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw CoordinatorError.impossibleMove(reason: "the split does not end")
    }

    /// Begins a split, with which nobody has gone on then: the shard takes no writes.
    func begin(_ shard: CollectionMap.Shard) async throws -> SplitReport {
        let report = try await cluster.index.splitShard(shard.id, in: cluster.context())
        #expect(report.stage == .drafting)
        _ = try await ask(shard) { .begin($0) }
        return report
    }

    /// The shard itself, for a step of the split that is registered.
    func ask(_ shard: CollectionMap.Shard, _ step: (SplitPlan) -> SplitStep) async throws -> SplitProgress {
        let split = try #require(try await cluster.index.splitRegister(shard.id)).value
        let handle = try #require(try await cluster.index.collection(split.collection))
        let place = SplitPlace(shard: shard, handle: handle, scope: try cluster.context().scope)
        return try await cluster.shards.split(step(split.plan), place.call(on: shard.node))
    }

    func folders() throws -> [String] {
        try (0..<2).flatMap { number in
            try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(number)/shards")
        }
    }

    func stop() async {
        for node in nodes { await node.stop() }
        _ = try? FileManager.default.removeItem(atPath: root)
    }
}
