import FaceModel
import Testing
import VectorSearch

private let nowhere = RowLocator(source: .segment(1), row: 0)

private func bestByFullSort(_ matches: [Match], limit: Int, minScore: Float) -> [Match] {
    Array(matches.filter { $0.score >= minScore }.sorted(by: Match.precedes).prefix(limit))
}

/// Few distinct scores, so that most comparisons are decided by the id.
private func tiedMatches(_ count: Int, _ generator: inout Seeded) -> [Match] {
    (0..<count).map { _ in
        Match(face: generator.face(), score: Float(Int.random(in: -4...4, using: &generator)) / 4)
    }
}

@Test private func equalsTheFullSort() {
    var generator = Seeded(1)
    for _ in 0..<600 {
        let matches = tiedMatches(Int.random(in: 0...300, using: &generator), &generator)
        let limit = Int.random(in: 1...50, using: &generator)
        let minScore = Float(Int.random(in: -5...4, using: &generator)) / 4
        var best = TopK(limit: limit, minScore: minScore)
        for match in matches { best.insert(match, at: nowhere) }
        #expect(best.sorted().map(\.match) == bestByFullSort(matches, limit: limit, minScore: minScore))
    }
}

@Test private func mergingPartsEqualsOneScan() {
    var generator = Seeded(2)
    for _ in 0..<200 {
        let matches = tiedMatches(200, &generator)
        let limit = Int.random(in: 1...40, using: &generator)
        var parts = (0..<4).map { _ in TopK(limit: limit, minScore: -0.5) }
        for match in matches { parts[Int(generator.next() % 4)].insert(match, at: nowhere) }
        var merged = parts.removeLast()
        for part in parts.shuffled(using: &generator) { merged.merge(part) }
        #expect(merged.sorted().map(\.match) == bestByFullSort(matches, limit: limit, minScore: -0.5))
    }
}

@Test private func theBoundIsTheLeastScoreThatMayEnter() {
    var generator = Seeded(3)
    var best = TopK(limit: 3, minScore: 0.25)
    #expect(best.bound == 0.25)
    for score in [Float(0.5), 0.75] { best.insert(Match(face: generator.face(), score: score), at: nowhere) }
    #expect(best.bound == 0.25)
    best.insert(Match(face: FaceID(Bits128(high: 9, low: 0)), score: 0.5), at: nowhere)
    #expect(best.bound == 0.5)
    best.insert(Match(face: FaceID(Bits128(high: 0, low: 1)), score: 0.5), at: nowhere)
    #expect(best.sorted().contains { $0.match.face == FaceID(Bits128(high: 0, low: 1)) })
    best.insert(Match(face: FaceID(Bits128(high: 0, low: 0)), score: .nan), at: nowhere)
    #expect(best.count == 3)
}

@Test private func aThousandEqualScoresGoByID() {
    var generator = Seeded(4)
    let matches = (0..<5_000).map { _ in Match(face: generator.face(), score: 0.5) }
    var best = TopK(limit: 100, minScore: -1)
    for match in matches { best.insert(match, at: nowhere) }
    #expect(best.sorted().map(\.match.face) == Array(matches.map(\.face).sorted().prefix(100)))
}
