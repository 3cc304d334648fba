import FaceModel
import Testing
import VectorSearch

private struct Unreadable: Error, Equatable {
    var row: Int
}

/// Rows that are read when they are scored, and how many were.
private final class StoredRows {
    let rows: PlaneRows
    /// Of every row; the last tile is filled up.
    let planes: PlaneBlock
    var reads = 0
    var unreadable: Int?

    init(_ rows: PlaneRows) {
        self.rows = rows
        var filler = PlaneFiller(
            PlaneBlock(code: PlaneCode(dimension: rows.dimension), tiles: PlaneBlock.tiles(of: rows.vectors.count)))
        for vector in rows.vectors { vector.withUnsafeBufferPointer { filler.append($0) } }
        filler.finish()
        planes = filler.block
    }

    func scan(
        _ queries: [PreparedQuery], _ range: Range<Int>, dead: RowBitmap, into tops: inout [TopK]
    ) throws(Unreadable) -> Int {
        var scratch = ScanScratch()
        let block = RowBlock<Unreadable>(
            reading: { [self] (wanted, floats) throws(Unreadable) in
                for (at, row) in wanted.enumerated() {
                    if row == unreadable { throw Unreadable(row: row) }
                    reads += 1
                    for (index, value) in rows.vectors[row].enumerated() {
                        floats[at * rows.dimension + index] = value
                    }
                }
            }, ids: rows.idBase + range.lowerBound, rows: range, source: .segment(3), planes: planes)
        return try VectorSearch.scan(block, dead: dead, queries: queries, into: &tops, scratch: &scratch)
    }
}

/// The best of the rows of `range` by scoring all of them.
private func everyRow(
    _ rows: PlaneRows, _ query: PreparedQuery, _ range: Range<Int>, dead: RowBitmap, limit: Int, minScore: Float
) -> [Match] {
    var best = TopK(limit: limit, minScore: minScore)
    for row in range where !dead.contains(row) {
        let score = exactScore(query, RotatedVector(rotated: rows.vectors[row]))
        best.insert(Match(face: rows.ids[row], score: score), at: RowLocator(source: .segment(3), row: row))
    }
    return best.sorted().map(\.match)
}

private func faces(_ count: Int, _ dimension: Int, _ generator: inout Seeded) -> PlaneRows {
    var vectors = (0..<count).map { _ in generator.direction(dimension) }
    for row in stride(from: 4, to: count, by: 7) { vectors[row] = generator.near(vectors[row - 4], cosine: 0.7) }
    for row in stride(from: 6, to: count, by: 50) { vectors[row] = vectors[row - 6] }
    // One that no rotation makes, and one that is not unit long: neither is estimated.
    if count > 20 { vectors[9] = (0..<dimension).map { $0 == 5 ? 1 : 0 } }
    if count > 20 { vectors[11] = vectors[11].map { $0 * 2 } }
    return PlaneRows(vectors, dimension: dimension, &generator)
}

@Test(arguments: [64, 72, 128, 256, 512, 1_024])
private func aBatchGivesWhatEachQueryGives(_ dimension: Int) throws {
    var generator = Seeded(200 + UInt64(dimension))
    for count in [1, 40, 64, 65, 700, 64 * 60 + 3] {
        let rows = faces(count, dimension, &generator)
        let stored = StoredRows(rows)
        for round in 0..<12 {
            var dead = RowBitmap()
            for row in 0..<count where generator.next() % 10 < [0, 2, 9][round % 3] { dead.insert(row) }
            let from = Int(generator.next() % UInt64(count))
            let range = from..<(from + 1 + Int(generator.next() % UInt64(count - from)))
            let asked = (0..<1 + Int(generator.next() % 11)).map {
                _ -> (query: PreparedQuery, limit: Int, min: Float) in
                var vector = generator.near(rows.vectors[Int(generator.next() % UInt64(count))], cosine: 0.8)
                if generator.next() % 6 == 0 { vector = vector.map { $0 * 3 } }
                let sigmas = generator.next() % 3 == 0 ? Double.infinity : PlaneCode.sigmasDefault
                return (
                    PreparedQuery(RotatedVector(rotated: vector), sigmas: sigmas),
                    [1, 10, 80, 4_096][Int(generator.next() % 4)], [-1, -1, 0.3, 0.999][Int(generator.next() % 4)]
                )
            }
            var together = asked.map { TopK(limit: $0.limit, minScore: $0.min) }
            let compared = try stored.scan(asked.map(\.query), range, dead: dead, into: &together)
            #expect(compared == range.filter { !dead.contains($0) }.count)
            for (asked, top) in zip(asked, together) {
                var alone = [TopK(limit: asked.limit, minScore: asked.min)]
                _ = try stored.scan([asked.query], range, dead: dead, into: &alone)
                #expect(top.sorted() == alone[0].sorted())
                let expected = everyRow(
                    rows, asked.query, range, dead: dead, limit: asked.limit, minScore: asked.min)
                #expect(top.sorted().map(\.match) == expected)
            }
        }
    }
}

@Test private func fewRowsAreReadThoughTheTopKIsEmpty() throws {
    var generator = Seeded(300)
    let count = 64 * 100 + 5
    let rows = PlaneRows((0..<count).map { _ in generator.direction(512) }, dimension: 512, &generator)
    let stored = StoredRows(rows)
    let query = PreparedQuery(RotatedVector(rotated: generator.near(rows.vectors[700], cosine: 0.7)))
    var tops = [TopK(limit: 10, minScore: -1)]
    _ = try stored.scan([query], 0..<count, dead: RowBitmap(), into: &tops)
    #expect(
        tops[0].sorted().map(\.match)
            == everyRow(rows, query, 0..<count, dead: RowBitmap(), limit: 10, minScore: -1))
    #expect((10...400).contains(stored.reads), "\(stored.reads) of \(count) rows were read")
}

@Test private func aRowThatCannotBeReadIsAnError() throws {
    var generator = Seeded(301)
    let rows = faces(700, 128, &generator)
    let stored = StoredRows(rows)
    stored.unreadable = 333
    let query = PreparedQuery(RotatedVector(rotated: rows.vectors[333]))
    var tops = [TopK(limit: 3, minScore: 0.5)]
    #expect(throws: Unreadable(row: 333)) {
        try stored.scan([query], 0..<700, dead: RowBitmap(), into: &tops)
    }
    var dead = RowBitmap()
    dead.insert(333)
    _ = try stored.scan([query], 0..<700, dead: dead, into: &tops)
}
