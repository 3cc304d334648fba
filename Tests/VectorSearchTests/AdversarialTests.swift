import FaceModel
import Testing
import VectorSearch

/// Vectors chosen to break the bound by one who does not know the rotation's key, and, where bounds are certain, by one
/// who does.
@Suite struct AdversarialTests {
    /// Thresholds at, just above and just below scores that there are, and a millionth off.
    private func thresholds(_ rows: PlaneRows, _ query: [Float], _ generator: inout Seeded) -> [Float] {
        let score = rows.definition(query)[Int.random(in: 0..<rows.vectors.count, using: &generator)].score
        let best = rows.definition(query).map(\.score).max() ?? 0
        return [-2, -1, score, score.nextUp, score.nextDown, best, best.nextDown, best - 1e-6, best + 1e-6, 0.37]
    }

    private func check(
        _ rows: PlaneRows, _ query: [Float], sigmas: [Double], _ name: String, _ generator: inout Seeded
    ) {
        for minScore in thresholds(rows, query, &generator) {
            for sigmas in sigmas {
                let limit = [1, 10, 200][Int.random(in: 0..<3, using: &generator)]
                let difference = rows.difference(query, limit: limit, minScore: minScore, sigmas: sigmas)
                #expect(difference == nil, "\(name), \(rows.dimension) dimensions: \(difference ?? "")")
            }
        }
    }

    @Test(arguments: ChosenShape.allCases, [64, 72, 128, 200, 256, 512, 520])
    func chosenShapesGiveRightAnswers(_ shape: ChosenShape, _ dimension: Int) throws {
        var generator = Seeded(7_000 + UInt64(dimension))
        let rotation = try Rotation(dimension: dimension, seed: generator.bytes(32))
        var embeddings: [Embedding] = []
        for row in 0..<64 * 8 {
            switch row % 4 {
            case 0, 1: embeddings.append(shape.embedding(dimension, &generator))
            case 2:
                let alteration = Alteration.allCases[row / 4 % Alteration.allCases.count]
                embeddings.append(alteration.apply(to: embeddings[row - 1], &generator))
            default: embeddings.append(generator.embedding(dimension))
            }
        }
        let rows = PlaneRows(
            try embeddings.map { try rotation.rotate($0).values }, dimension: dimension, &generator)
        for (round, alteration) in Alteration.allCases.enumerated() {
            for embedding in [embeddings[5 * round], shape.embedding(dimension, &generator)] {
                let probe = try rotation.rotate(alteration.apply(to: embedding, &generator)).values
                check(rows, probe, sigmas: [6, .infinity], "\(shape), \(alteration)", &generator)
            }
        }
    }

    /// Certain bounds need no luck: the same shapes without any rotation, as if the key were known.
    @Test(arguments: ChosenShape.allCases, [64, 128, 256, 512])
    func certainBoundsHoldWithoutRotation(_ shape: ChosenShape, _ dimension: Int) {
        var generator = Seeded(7_100 + UInt64(dimension))
        func unrotated(_ embedding: Embedding) -> [Float] { unit(embedding.values.map(Double.init)) }
        var embeddings: [Embedding] = []
        for row in 0..<64 * 6 {
            switch row % 3 {
            case 0: embeddings.append(shape.embedding(dimension, &generator))
            case 1:
                let alteration = Alteration.allCases[row / 3 % Alteration.allCases.count]
                embeddings.append(alteration.apply(to: embeddings[row - 1], &generator))
            default: embeddings.append(generator.embedding(dimension))
            }
        }
        let rows = PlaneRows(embeddings.map(unrotated), dimension: dimension, &generator)
        for (round, alteration) in Alteration.allCases.enumerated() {
            let probe = unrotated(alteration.apply(to: embeddings[3 * round], &generator))
            check(rows, probe, sigmas: [.infinity], "\(shape), \(alteration)", &generator)
        }
    }

    /// Pairs within a millionth of the threshold, on either side of it.
    @Test(arguments: [64, 128, 264, 512]) func pairsAtTheThresholdFallOnTheirSide(_ dimension: Int) throws {
        var generator = Seeded(7_200 + UInt64(dimension))
        for minScore in [Float(-0.2), 0, 0.1, 0.37, 0.7, 0.95, 0.999] {
            let probe = generator.direction(dimension)
            let vectors = (0..<64 * 20).map { row in
                row % 2 == 0
                    ? generator.near(
                        probe, cosine: Double(minScore) + Double.random(in: -1e-6...1e-6, using: &generator))
                    : generator.direction(dimension)
            }
            let rows = PlaneRows(vectors, dimension: dimension, &generator)
            for sigmas in [6, Double.infinity] {
                for limit in [10, 4_096] {
                    let difference = rows.difference(probe, limit: limit, minScore: minScore, sigmas: sigmas)
                    #expect(difference == nil, "\(dimension) dimensions: \(difference ?? "")")
                }
            }
        }
    }

    /// A million equal vectors: nothing can be dropped, the smallest FaceIds win.
    @Test(arguments: [(64, 1_000_000), (512, 100_000)]) func equalVectorsGiveTheSmallestIDs(
        _ dimension: Int, _ count: Int
    ) {
        var generator = Seeded(7_300)
        let one = generator.direction(dimension)
        let memory = AlignedMemory(bytes: count * dimension * 4)
        let base = memory.base.bindMemory(to: Float.self, capacity: count * dimension)
        for row in 0..<count { (base + row * dimension).initialize(from: one, count: dimension) }
        let ids = (0..<count).map { _ in generator.face() }
        let planes = PlaneBlock(code: PlaneCode(dimension: dimension), encoding: base, count: count)
        let smallest = ids.sorted().prefix(200)
        var scratch = ScanScratch()
        for probe in [one, generator.near(one, cosine: 0.5), generator.near(one, cosine: -0.5)] {
            let query = PreparedQuery(RotatedVector(rotated: probe))
            let score = exactScore(query, RotatedVector(rotated: one))
            for minScore in [-1, score] {
                var best = TopK(limit: smallest.count, minScore: minScore)
                let compared = ids.withUnsafeBufferPointer { ids in
                    guard let ids = ids.baseAddress else { return 0 }
                    let block = RowBlock(
                        rows: base, ids: ids, count: count, source: .segment(1), firstRow: 0, planes: planes)
                    return scan(block, dead: RowBitmap(), query: query, into: &best, scratch: &scratch)
                }
                #expect(compared == count)
                #expect(best.sorted().map(\.match) == smallest.map { Match(face: $0, score: score) })
            }
        }
    }
}
