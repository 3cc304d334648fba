import ClusterModel
import FaceModel
import KeyHierarchy
import TestBench
import Testing

@testable import Coordinator

/// The same faces under the same key, whole and cut into shards: every answer must be the same to the last bit.
struct EqualAnswers: Sendable {
    private static let dimension = 64
    private let name: CollectionName
    private let faces: [VectorToIndex]
    private let whole: ClusterBench
    private var cut: [ClusterBench] = []

    /// `service` gives the node of a number in a cluster of its own.
    init(
        faces count: Int, shards: [Int], service: (Int, MemoryControlPlane) async throws -> any ShardService
    ) async throws {
        guard let name = CollectionName("booking") else { throw CoordinatorError.noFaces }
        self.name = name
        faces = try Self.faces(count)
        let alone = MemoryControlPlane()
        whole = try await ClusterBench([service(0, alone)], in: alone)
        try await fill(whole, shards: 1)
        for shards in shards {
            let controlPlane = MemoryControlPlane()
            var services: [any ShardService] = []
            for number in 0..<4 { services.append(try await service(number, controlPlane)) }
            let bench = try await ClusterBench(services, in: controlPlane)
            try await fill(bench, shards: shards)
            cut.append(bench)
        }
    }

    func searchesAgree(probes count: Int) async throws {
        let probes = ClusterTests.vectors(count, seed: 1_234)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for first in 0..<8 {
                group.addTask {
                    for number in stride(from: first, to: count, by: 8) {
                        try await searchAgrees(probes[number], number)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func searchAgrees(_ probe: Embedding, _ number: Int) async throws {
        let limit = number.isMultiple(of: 20) ? 100 : [1, 5, 10][number % 3]
        // Half of the thresholds cut the list, half do not.
        let threshold = SearchThreshold.cosine(number.isMultiple(of: 2) ? -1 : 0.1)
        let expected = try await search(whole, probe, limit, threshold)
        for bench in cut {
            let found = try await search(bench, probe, limit, threshold)
            try #require(found.candidates.map(\.face) == expected.candidates.map(\.face), "probe \(number)")
            try #require(found.candidates.map(\.cosine.bitPattern) == expected.candidates.map(\.cosine.bitPattern))
            try #require(found.coverage.facesScored == faces.count && found.missing.isEmpty)
        }
    }

    func everythingElseAgrees() async throws {
        let ids = try await list(whole, 1_000)
        for bench in cut {
            for limit in [999, 64] { try #require(try await list(bench, limit) == ids) }
            for id in [ids[0], ids[ids.count / 2], ids[ids.count - 1]] {
                let expected = try await like(whole, id)
                let found = try await like(bench, id)
                try #require(found.map(\.face) == expected.map(\.face))
                try #require(found.map(\.cosine.bitPattern) == expected.map(\.cosine.bitPattern))
            }
        }
        // Deleted and enrolled again: new ids, the same everywhere.
        let gone = Array(ids.prefix(20))
        var renewed: [[FaceID]] = []
        for bench in [whole] + cut {
            let answer = try await bench.index.deleteFaces(gone, collection: name, in: bench.context())
            try #require(answer.deleted == gone && answer.notFound.isEmpty)
            renewed.append(try await enrol(bench))
        }
        try #require(Set(renewed[0]).isDisjoint(with: gone))
        try #require(renewed.allSatisfy { $0 == renewed[0] })
    }

    private func fill(_ bench: ClusterBench, shards: Int) async throws {
        _ = try await bench.index.createCollection(
            name, tags: [:], own: OwnModel(name: "mine", version: "1", dimension: Self.dimension), shards: shards,
            key: try CollectionKey(bytes: Array(7..<39)), in: bench.context())
        _ = try await enrol(bench)
    }

    private func enrol(_ bench: ClusterBench) async throws -> [FaceID] {
        var ids: [FaceID] = []
        for start in stride(from: 0, to: faces.count, by: Limits.vectorsPerRequestMax) {
            let part = Array(faces[start..<min(faces.count, start + Limits.vectorsPerRequestMax)])
            ids += try await bench.index.indexVectors(part, collection: name, in: bench.context()).map(\.id)
        }
        return ids
    }

    private func search(
        _ bench: ClusterBench, _ probe: Embedding, _ limit: Int, _ threshold: SearchThreshold
    ) async throws -> SearchAnswer {
        try await bench.index.searchFaces(
            byVector: probe, limit: limit, threshold: threshold, collection: name, in: bench.context())
    }

    private func like(_ bench: ClusterBench, _ id: FaceID) async throws -> [Candidate] {
        try await bench.index.searchFaces(
            like: id, limit: 50, threshold: .cosine(-1), collection: name, in: bench.context()
        ).candidates
    }

    private func list(_ bench: ClusterBench, _ limit: Int) async throws -> [FaceID] {
        var found: [FaceID] = []
        var token: String?
        repeat {
            let page = try await bench.index.listFaces(
                collection: name, only: nil, after: token, limit: limit, in: bench.context())
            found += page.faces.map(\.id)
            token = page.nextToken
        } while token != nil
        return found
    }

    /// Every eighth face is the one before under another name: equal scores are common.
    private static func faces(_ count: Int) throws -> [VectorToIndex] {
        let vectors = ClusterTests.vectors(count, seed: 42)
        return vectors.indices.map { index in
            let twin = index % 8 == 7
            return VectorToIndex(
                vector: vectors[twin ? index - 1 : index],
                externalImageID: twin ? ExternalImageID("twin:\(index)") : nil)
        }
    }
}

@Suite struct EqualAnswersTests {
    @Test func oneShardOrManyGiveTheSameAnswers() async throws {
        let answers = try await EqualAnswers(faces: 400, shards: [1, 2, 4, 8, 33]) { _, _ in MemoryNode() }
        try await answers.searchesAgree(probes: 100)
        try await answers.everythingElseAgrees()
    }
}
