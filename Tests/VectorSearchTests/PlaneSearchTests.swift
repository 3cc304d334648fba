import FaceModel
import Testing
import VectorSearch

private let dimensions = [64, 72, 128, 136, 168, 176, 256, 264, 384, 512, 520, 1_024, 1_536, 2_040, 2_048]

/// One case: the search by planes gives what scoring every row gives, rows, order and bits.
private func check(
    _ rows: PlaneRows, _ query: [Float], limit: Int, minScore: Float, dead: RowBitmap = RowBitmap(),
    from start: Int = 0, sigmas: Double = PlaneCode.sigmasDefault, _ comment: Comment? = nil
) -> PlaneCounts {
    let range = min(start, rows.vectors.count)..<rows.vectors.count
    let prepared = PreparedQuery(RotatedVector(rotated: query), sigmas: sigmas)
    var found = TopK(limit: limit, minScore: minScore)
    var expected = TopK(limit: limit, minScore: minScore)
    var counts = PlaneCounts()
    let compared = rows.scan(prepared, range, dead: dead, byPlanes: true, into: &found, counts: &counts)
    var every = PlaneCounts()
    let scored = rows.scan(prepared, range, dead: dead, byPlanes: false, into: &expected, counts: &every)
    #expect(every.scored == range.count && every.scanned == 0)
    #expect(found.sorted() == expected.sorted(), comment)
    #expect(compared == scored)
    var again = PlaneCounts()
    let twice = rows.scanTwice(prepared, range, dead: dead, limit: limit, minScore: minScore, counts: &again)
    #expect(twice.sorted() == expected.sorted(), comment)
    return counts
}

/// Scores by the definition, in doubles and a row at a time, and a full sort.
private func reference(_ rows: PlaneRows, _ query: [Float], limit: Int, minScore: Float, dead: RowBitmap) -> [Match] {
    let matches = rows.vectors.indices.filter { !dead.contains(100 + $0) }.map { row in
        var s = [Double](repeating: 0, count: 8)
        for (index, value) in rows.vectors[row].enumerated() { s[index % 8] += Double(query[index]) * Double(value) }
        let score = Float(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))
        return Match(face: rows.ids[row], score: score)
    }
    return Array(matches.filter { $0.score >= minScore }.sorted(by: Match.precedes).prefix(limit))
}

@Test(arguments: [64, 128, 136, 512, 520, 1_536])
private func aSearchByPlanesFindsWhatTheDefinitionGives(_ dimension: Int) {
    var generator = Seeded(90 + UInt64(dimension))
    for _ in 0..<6 {
        let count = Int.random(in: 64...700, using: &generator)
        var vectors = (0..<count).map { _ in generator.direction(dimension) }
        for row in stride(from: 5, to: count, by: 6) { vectors[row] = generator.near(vectors[row - 5], cosine: 0.6) }
        for row in stride(from: 7, to: count, by: 20) { vectors[row] = vectors[row - 7] }
        let rows = PlaneRows(vectors, dimension: dimension, &generator)
        var dead = RowBitmap()
        for row in 0..<count where generator.next() % 6 == 0 { dead.insert(100 + row) }
        for (limit, minScore) in [(1, Float(-1)), (10, -1), (80, 0.37), (300, 0.1)] {
            let query = generator.near(vectors[Int(generator.next() % UInt64(count))], cosine: 0.65)
            var found = TopK(limit: limit, minScore: minScore)
            var counts = PlaneCounts()
            let prepared = PreparedQuery(RotatedVector(rotated: query))
            let compared = rows.scan(
                prepared, 0..<count, dead: dead, byPlanes: true, into: &found, counts: &counts)
            #expect(compared == count - dead.count)
            #expect(
                found.sorted().map(\.match)
                    == reference(rows, query, limit: limit, minScore: minScore, dead: dead))
        }
    }
}

@Test(arguments: dimensions) private func aSearchByPlanesFindsWhatScoringEveryRowFinds(_ dimension: Int) {
    var generator = Seeded(UInt64(dimension))
    for count in [0, 1, 63, 64, 65, 200, 64 * 20 + 7] {
        var vectors = (0..<count).map { _ in generator.direction(dimension) }
        for row in stride(from: 3, to: count, by: 5) { vectors[row] = vectors[row - 3] }
        for row in stride(from: 4, to: count, by: 9) { vectors[row] = generator.near(vectors[row - 4], cosine: 0.7) }
        let rows = PlaneRows(vectors, dimension: dimension, &generator)
        for round in 0..<80 {
            var dead = RowBitmap()
            for row in 0..<count where generator.next() % 10 < [0, 1, 9][round % 3] { dead.insert(100 + row) }
            let query =
                count == 0 || round % 4 == 0
                ? generator.direction(dimension)
                : generator.near(vectors[Int(generator.next() % UInt64(count))], cosine: [1, 0.99, 0.6][round % 3])
            let minScore = [Float(-1), -1, 0.37, 0.2, 1, -0.05, 2, 0.999][round % 8]
            let limit = [1, 10, 80, 4_096][Int(generator.next() % 4)]
            let start = round % 2 == 0 ? 0 : Int(generator.next() % 130)
            let sigmas = round % 5 == 4 ? Double.infinity : PlaneCode.sigmasDefault
            _ = check(rows, query, limit: limit, minScore: minScore, dead: dead, from: start, sigmas: sigmas)
        }
    }
}

@Test private func aThresholdSparesAlmostEveryRow() {
    var generator = Seeded(40)
    for (dimension, share) in [(128, 0.05), (512, 0.02)] {
        let vectors = (0..<64 * 200).map { _ in generator.direction(dimension) }
        let rows = PlaneRows(vectors, dimension: dimension, &generator)
        let counts = check(rows, generator.near(vectors[77], cosine: 0.7), limit: 80, minScore: 0.45)
        #expect(counts.scanned == vectors.count)
        #expect(Double(counts.scored) < share * Double(vectors.count), "\(counts)")
        let certain = check(
            rows, generator.near(vectors[77], cosine: 0.7), limit: 80, minScore: 0.45, sigmas: .infinity)
        #expect(Double(certain.scored) < 0.1 * Double(vectors.count), "\(certain)")
    }
}

@Test func aPassAheadSparesRows() {
    var generator = Seeded(41)
    let probe = generator.direction(512)
    // The best come last, so that a single pass has no bound to speak of before.
    let vectors = (0..<64 * 100).map { row in
        row < 64 * 99 ? generator.direction(512) : generator.near(probe, cosine: 0.6)
    }
    let rows = PlaneRows(vectors, dimension: 512, &generator)
    let query = PreparedQuery(RotatedVector(rotated: probe))
    var (once, twice) = (PlaneCounts(), PlaneCounts())
    var best = TopK(limit: 10, minScore: -1)
    _ = rows.scan(query, 0..<vectors.count, dead: RowBitmap(), byPlanes: true, into: &best, counts: &once)
    let again = rows.scanTwice(
        query, 0..<vectors.count, dead: RowBitmap(), limit: 10, minScore: -1, counts: &twice)
    #expect(best.sorted() == again.sorted())
    #expect(once.scanned == twice.scanned)
    #expect(once.left[0] > 64 * 50 && twice.left[0] < 64 * 3, "\(once) \(twice)")
}

@Test func aPassAheadIsMadeWhereItPays() {
    var generator = Seeded(42)
    let query = { (dimension: Int, scale: Float) in
        PreparedQuery(RotatedVector(rotated: generator.direction(dimension).map { $0 * scale }))
    }
    let parts = { (queries: [PreparedQuery], minScore: Float, count: Int) in
        FirstSums(
            rooms: [Int](repeating: 16_384, count: count), rows: 16_384 * count, queries: queries,
            minScores: queries.map { _ in minScore }
        ).parts
    }
    let usual = query(512, 1)
    #expect(parts([usual], -1, 64) == 64)
    #expect(parts([usual], -1, 2) == 0, "few rows")
    #expect(parts([usual], 0.37, 64) == 0, "a threshold")
    #expect(parts([usual, usual], -1, 64) == 0, "a batch")
    #expect(parts([query(128, 1)], -1, 64) == 0, "planes that leave few rows")
    #expect(parts([query(512, 2)], -1, 64) == 0, "a query that planes say nothing to")
    #expect(parts([usual], -1, 1_000) == ScanPass.rowsMax / 16_384, "bounded memory")
}

/// Vectors as no rotation makes them, but a rotation's key in the wrong hands might.
private enum Unlikely: CaseIterable {
    case axis, pairOfAxes, oneGreat, fewGreat, heavyTails, sparse, flat, tiny, half

    func vector(_ dimension: Int, _ generator: inout Seeded) -> [Float] {
        var values = (0..<dimension).map { _ in generator.normal() }
        switch self {
        case .axis: values = values.indices.map { $0 == 3 ? 1 : 0 }
        case .pairOfAxes: values = values.indices.map { $0 == 3 ? 1 : $0 == 9 ? 0.7 : 0 }
        case .oneGreat: values[3] = 0.6 * Double(dimension).squareRoot()
        case .fewGreat: for index in 3..<7 { values[index] = 0.25 * Double(dimension).squareRoot() }
        case .heavyTails: values = values.map { $0 * $0 * $0 }
        case .sparse: for index in values.indices where index % 16 != 3 { values[index] = 0 }
        case .flat: values = values.map { $0 < 0 ? -1 : 1 }
        case .tiny: values = values.enumerated().map { $0 % 64 == 3 ? 1 : $1 * 1e-30 }
        case .half: for index in values.indices where index % 2 == 0 { values[index] *= 1e-3 }
        }
        return unit(values)
    }
}

@Test(arguments: Unlikely.allCases, [64, 128, 256, 512])
private func vectorsThatNoRotationMakesGiveRightAnswers(_ kind: Unlikely, _ dimension: Int) {
    var generator = Seeded(50)
    var vectors: [[Float]] = []
    for row in 0..<64 * 12 {
        switch row % 4 {
        case 0: vectors.append(kind.vector(dimension, &generator))
        case 1: vectors.append(generator.near(vectors[row - 1], cosine: 0.5))
        case 2: vectors.append(zip(vectors[row - 1], vectors[row - 2]).map { Float(($0 + $1) / 2) })
        default: vectors.append(generator.direction(dimension))
        }
        vectors[row] = unit(vectors[row].map(Double.init))
    }
    let rows = PlaneRows(vectors, dimension: dimension, &generator)
    for round in 0..<20 {
        let query =
            round % 2 == 0
            ? kind.vector(dimension, &generator)
            : generator.near(vectors[4 * round], cosine: Double(round) / 20)
        for minScore in [Float(-1), 0.2, 0.5] {
            _ = check(rows, query, limit: 10, minScore: minScore, "\(kind) \(dimension)")
        }
    }
}

@Test private func equalVectorsByTheThousandAreRankedByTheirIDs() {
    var generator = Seeded(60)
    for dimension in [128, 512] {
        let one = generator.direction(dimension)
        let vectors = (0..<4_000).map { $0 % 100 == 99 ? generator.direction(dimension) : one }
        let rows = PlaneRows(vectors, dimension: dimension, &generator)
        for query in [one, generator.near(one, cosine: 0.4), generator.direction(dimension)] {
            for limit in [1, 10, 80] { _ = check(rows, query, limit: limit, minScore: -1) }
        }
    }
}

@Test private func vectorsThatAreNotUnitLongAreScoredExactly() {
    var generator = Seeded(61)
    let dimension = 128
    let vectors = (0..<640).map { row in
        generator.direction(dimension).map { $0 * [1, 0.5, 3, 0, 1e30, 1.001][row % 6] }
    }
    let rows = PlaneRows(vectors, dimension: dimension, &generator)
    for round in 0..<40 {
        let scale: Float = [1, 2, 1e-3, 0][round % 4]
        let query = generator.near(generator.direction(dimension), cosine: 0.3).map { $0 * scale }
        _ = check(rows, query, limit: 10, minScore: [-1, 0.1][round % 2])
    }
}
