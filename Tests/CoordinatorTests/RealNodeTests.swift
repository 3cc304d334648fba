import ClusterModel
import FaceModel
import Foundation
import ShardEngine
import StorageIO
import TestBench
import Testing

@testable import Coordinator

/// The coordinator over real nodes in one process.
@Suite struct RealNodeTests {
    private final class Nodes {
        let root = NSTemporaryDirectory() + "facet-nodes-\(ProcessInfo.processInfo.globallyUniqueString)"
        private(set) var started: [ShardNode] = []

        /// A new life of the node of this number; its files are those of `folder`.
        func start(
            _ number: Int, folder: Int? = nil, in controlPlane: MemoryControlPlane
        ) async throws -> ShardNode {
            let data = DataDirectory(path: "\(root)/\(folder ?? started.count)", files: POSIXFileSystem())
            try data.prepare()
            let node = ShardNode(
                directory: data.shards, files: POSIXFileSystem(), pool: ScanPool(threads: 1),
                surroundings: try await .alone(try ClusterBench.node(number), in: controlPlane))
            started.append(node)
            return node
        }

        func stop() async {
            for node in started { await node.stop() }
            _ = try? FileManager.default.removeItem(atPath: root)
        }
    }

    @Test func aThousandProbesGetTheSameAnswersFrom1And2And4And8Shards() async throws {
        let nodes = Nodes()
        let answers = try await EqualAnswers(faces: 2_000, shards: [1, 2, 4, 8]) {
            try await nodes.start($0, in: $1)
        }
        try await answers.searchesAgree(probes: 1_000)
        try await answers.everythingElseAgrees()
        await nodes.stop()
    }

    @Test func aNodeThatRestartsIsOpenedAgain() async throws {
        let nodes = Nodes()
        let controlPlane = MemoryControlPlane()
        var services: [any ShardService] = []
        for number in 0..<2 {
            services.append(try await nodes.start(number, folder: number, in: controlPlane))
        }
        let bench = try await ClusterBench(services, in: controlPlane)
        let name = try #require(CollectionName("c"))
        _ = try await bench.index.createCollection(
            name, tags: [:], own: OwnModel(name: "mine", version: "1", dimension: 64), shards: 4, in: bench.context())
        let vectors = ClusterTests.vectors(50, seed: 3).map { VectorToIndex(vector: $0, externalImageID: nil) }
        let ids = try await bench.index.indexVectors(vectors, collection: name, in: bench.context()).map(\.id)
        await nodes.started[1].stop()
        bench.shards.replace(bench.nodes[1], by: try await nodes.start(1, folder: 1, in: controlPlane))
        let again = try await bench.index.indexVectors(vectors, collection: name, in: bench.context()).map(\.id)
        #expect(again == ids)
        let answer = try await bench.index.searchFaces(
            byVector: vectors[7].vector, limit: 3, threshold: .cosine(-1), collection: name, in: bench.context())
        #expect(answer.candidates.first?.face.id == ids[7] && answer.coverage.facesScored == 50)
        try await bench.index.deleteCollection(name, in: bench.context())
        let left = try FileManager.default.subpathsOfDirectory(atPath: nodes.root).filter {
            $0.hasSuffix("state.sqlite")
        }
        #expect(left.isEmpty)
        await nodes.stop()
    }
}
