import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Four nodes in memory with people of whom there are several images each, and probes of the same people.
struct PeopleCluster {
    var cluster: ClusterTests.Cluster
    /// Another image of each person who is enrolled.
    var probes: [Embedding]
    let people: Int

    private static let dimension = 64

    init(people: Int, images: Int = 2, seed: UInt64 = 5) async throws {
        self.people = people
        cluster = try await ClusterTests.cluster(faces: 0)
        var random = Seeded(seed)
        var enrolled: [VectorToIndex] = []
        probes = []
        let groups = (0..<24).map { _ in Self.direction(&random) }
        for person in 0..<people {
            // People come in groups, as faces do: buckets then hold what is alike.
            let group = groups[person % groups.count]
            let own = zip(group, Self.direction(&random)).map { 0.6 * $0 + 0.8 * $1 }
            func image() -> Embedding { Embedding(zip(own, Self.direction(&random)).map { $0 + 0.55 * $1 }) }
            for _ in 0..<images {
                enrolled.append(VectorToIndex(vector: image(), externalImageID: ExternalImageID("p:\(person)")))
            }
            probes.append(image())
        }
        for start in stride(from: 0, to: enrolled.count, by: 1_000) {
            let some = Array(enrolled[start..<min(start + 1_000, enrolled.count)])
            let made = try await cluster.index.indexVectors(
                some, collection: cluster.name, in: cluster.bench.context())
            cluster.faces += made
        }
        cluster.bench.shards.forgetCalls()
    }

    func divideBuckets(largerThan most: Int) {
        for node in cluster.nodes { node.divideBuckets(largerThan: most) }
    }

    func search(_ probe: Embedding, _ mode: SearchMode, limit: Int = 10) async throws -> SearchAnswer {
        try await cluster.index.searchFaces(
            byVector: probe, limit: limit, threshold: .cosine(-1), mode: mode, collection: cluster.name,
            in: cluster.bench.context())
    }

    func batch(_ probes: [Embedding], _ mode: SearchMode, partial: Bool = false) async throws -> [SearchAnswer] {
        try await cluster.index.searchFaces(
            byVectors: probes, limit: 10, threshold: .cosine(-1), mode: mode, collection: cluster.name,
            in: cluster.bench.context(within: .seconds(partial ? 1 : 30), partial: partial))
    }

    /// A unit vector, about even in all directions.
    private static func direction(_ random: inout Seeded) -> [Float] {
        let values = (0..<dimension).map { _ in
            (0..<4).reduce(Float(-2)) { sum, _ in sum + Float.random(in: 0..<1, using: &random) }
        }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }
}

extension SearchAnswer {
    /// What must be equal between two ways to the same answer.
    var scores: [String] { candidates.map { "\($0.face.id) \($0.cosine.bitPattern)" } }
}
