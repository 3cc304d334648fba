import FaceModel
import Testing
import VectorSearch

private struct Collection {
    var vectors: [RotatedVector]
    var ids: [FaceID]
    var dead = RowBitmap()

    init(_ count: Int, dimension: Int, _ generator: inout Seeded) throws {
        let rotation = try Rotation(dimension: dimension, seed: generator.bytes(32))
        vectors = []
        for index in 0..<count {
            // Every tenth vector is stored twice, so that scores tie and ids decide.
            if index % 10 == 9 {
                vectors.append(vectors[index - 1])
            } else {
                vectors.append(try rotation.rotate(generator.embedding(dimension)))
            }
        }
        ids = (0..<count).map { _ in generator.face() }
    }

    func scan(_ query: RotatedVector, _ best: inout TopK, range: Range<Int>) -> Int {
        var scratch = ScanScratch()
        let flat = vectors[range].flatMap(\.values)
        return flat.withUnsafeBufferPointer { rows in
            ids[range].withUnsafeBufferPointer { ids in
                guard let rows = rows.baseAddress, let ids = ids.baseAddress else { return 0 }
                let block = RowBlock(
                    rows: rows, ids: ids, count: range.count, source: .segment(7), firstRow: range.lowerBound)
                return VectorSearch.scan(
                    block, dead: dead, query: PreparedQuery(query), into: &best, scratch: &scratch)
            }
        }
    }

    /// Scores by the definition, a row at a time, and a full sort.
    func reference(_ query: RotatedVector, limit: Int, minScore: Float) -> [Match] {
        let live = vectors.indices.filter { !dead.contains($0) }
        let matches = live.map { Match(face: ids[$0], score: Self.score(query, vectors[$0])) }
        return Array(matches.filter { $0.score >= minScore }.sorted(by: Match.precedes).prefix(limit))
    }

    static func score(_ a: RotatedVector, _ b: RotatedVector) -> Float {
        var s = [Double](repeating: 0, count: 8)
        for index in 0..<a.dimension { s[index % 8] += Double(a.values[index]) * Double(b.values[index]) }
        return Float(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))
    }
}

@Test(arguments: [64, 200]) private func aScanEqualsTheReferenceAtEveryShareOfDeletes(_ dimension: Int) throws {
    var generator = Seeded(UInt64(dimension))
    let whole = try Collection(1_100, dimension: dimension, &generator)
    for share in [UInt64(0), 1, 5, 9, 10] {
        var collection = whole
        for row in collection.ids.indices where generator.next() % 10 < share { collection.dead.insert(row) }
        for (limit, minScore) in [(1, Float(-1)), (80, 0.1), (2_000, -1), (10, 2)] {
            let query = collection.vectors[Int(generator.next() % 1_100)]
            var best = TopK(limit: limit, minScore: minScore)
            let scored = collection.scan(query, &best, range: 0..<1_100)
            #expect(best.sorted().map(\.match) == collection.reference(query, limit: limit, minScore: minScore))
            #expect(scored == 1_100 - collection.dead.count)
            for candidate in best.sorted() {
                #expect(candidate.locator.source == .segment(7))
                #expect(collection.ids[candidate.locator.row] == candidate.match.face)
            }
        }
    }
}

@Test private func partsOfAScanGiveTheWhole() throws {
    var generator = Seeded(31)
    var collection = try Collection(1_000, dimension: 64, &generator)
    for row in stride(from: 0, to: 1_000, by: 3) { collection.dead.insert(row) }
    let query = collection.vectors[500]
    let cuts = [0, 1, 63, 64, 65, 511, 512, 700, 1_000]
    var merged = TopK(limit: 25, minScore: -1)
    var scored = 0
    for (from, to) in zip(cuts, cuts.dropFirst()) {
        var part = TopK(limit: 25, minScore: -1)
        scored += collection.scan(query, &part, range: from..<to)
        merged.merge(part)
    }
    #expect(merged.sorted().map(\.match) == collection.reference(query, limit: 25, minScore: -1))
    #expect(scored == 1_000 - collection.dead.count)
}

@Test private func theScoreOfOnePairIsTheScansScore() throws {
    var generator = Seeded(32)
    let collection = try Collection(50, dimension: 128, &generator)
    var best = TopK(limit: 50, minScore: -1)
    _ = collection.scan(collection.vectors[3], &best, range: 0..<50)
    let query = PreparedQuery(collection.vectors[3])
    for candidate in best.sorted() {
        let exact = exactScore(query, collection.vectors[candidate.locator.row])
        #expect(exact.bitPattern == candidate.match.score.bitPattern)
    }
}

@Test private func theBitmapCountsWithinAnyRange() {
    var generator = Seeded(33)
    var bitmap = RowBitmap()
    var reference = Set<Int>()
    for _ in 0..<400 {
        let row = Int.random(in: 0..<700, using: &generator)
        #expect(bitmap.insert(row) == reference.insert(row).inserted)
    }
    #expect(bitmap.count == reference.count)
    #expect(bitmap.rows == reference.sorted())
    for _ in 0..<2_000 {
        let from = Int.random(in: 0...900, using: &generator)
        let range = from..<Int.random(in: from...1_000, using: &generator)
        #expect(bitmap.count(in: range) == reference.filter(range.contains).count)
    }
    let copy = bitmap
    bitmap.insert(5_000)
    #expect(!copy.contains(5_000) && bitmap.contains(5_000))
}
