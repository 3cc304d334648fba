import CVectorKernels
package import FaceModel

/// For each query, finds the rows of `block` that are not `dead` (numbered within the source) and are among the best,
/// and offers them with their exact scores to the query's top-k: those and no others that scoring every row would
/// offer. Returns the live faces compared, the same for all queries. Dead rows are compared with their neighbours,
/// being few, and never offered.
///
/// Some rows are scanned for all queries before the next ones, so that their planes are read from memory once, and from
/// cache once for several queries. As many `tops` as `queries`, and one query where this is not the only pass; anything
/// else is a programming error. Throws what reading a vector does.
package func scan<Failure: Error>(
    _ block: RowBlock<Failure>, dead: RowBitmap, queries: [PreparedQuery], into tops: inout [TopK],
    scratch: inout ScanScratch, pass: ScanPass = .only
) throws(Failure) -> Int {
    precondition(queries.count == tops.count, "a top-k for each query")
    if queries.count == 1 {
        return try scan(block, dead: dead, query: queries[0], into: &tops[0], scratch: &scratch, pass: pass)
    }
    precondition(pass.isOnly, "a batch passes over rows once")
    let scan = BlockScan(block: block, dead: dead)
    if let planes = block.planes {
        let usable = queries.indices.filter { queries[$0].planes.isUsable }
        var steps = TileSteps(block.tiles, most: ScanScratch.tilesPerBatch(planes.code))
        while let tiles = steps.next() {
            try scan.scoreSurvivors(of: planes, tiles, queries, usable, into: &tops, &scratch)
        }
    }
    for (at, query) in queries.enumerated() { try scan.scoreRest(query, into: &tops[at], &scratch) }
    return block.count - dead.count(in: block.firstRow..<block.firstRow + block.count)
}

/// The same for one query. A pass `ahead` offers rows that make a bound, in `best`, and is no answer.
package func scan<Failure: Error>(
    _ block: RowBlock<Failure>, dead: RowBitmap, query: PreparedQuery, into best: inout TopK,
    scratch: inout ScanScratch, pass: ScanPass = .only
) throws(Failure) -> Int {
    let scan = BlockScan(block: block, dead: dead)
    if let planes = block.planes, query.planes.isUsable {
        let first = block.tiles.lowerBound
        var steps =
            pass.isAnswer
            ? TileSteps(block.tiles, first: ScanScratch.tilesPerAnswer, most: ScanScratch.tilesPerAnswer)
            : TileSteps(block.tiles, most: ScanScratch.tilesPerBound)
        while let tiles = steps.next() {
            let pass = pass.dropping((tiles.lowerBound - first) * PlaneCode.tileRows)
            try scan.scoreSurvivors(of: planes, tiles, query, pass, into: &best, &scratch)
        }
    }
    if !pass.isAhead { try scan.scoreRest(query, into: &best, &scratch) }
    return block.count - dead.count(in: block.firstRow..<block.firstRow + block.count)
}

/// Tiles by steps: few at first, whose best make a bound for the next ones.
private struct TileSteps {
    private var rest: Range<Int>
    private var size: Int
    private let most: Int

    init(_ tiles: Range<Int>, first: Int = 4, most: Int) {
        rest = tiles
        size = first
        self.most = most
    }

    mutating func next() -> Range<Int>? {
        guard !rest.isEmpty else { return nil }
        let step = rest.prefix(min(size, most))
        rest = step.upperBound..<rest.upperBound
        size = min(2 * size, most)
        return step
    }
}

struct BlockScan<Failure: Error> {
    let block: RowBlock<Failure>
    let dead: RowBitmap

    /// The rows that the planes say nothing of.
    func scoreRest(_ query: PreparedQuery, into best: inout TopK, _ scratch: inout ScanScratch) throws(Failure) {
        try scoreEvery(query.planes.isUsable ? block.untiled : 0..<block.count, query, into: &best, &scratch)
    }

    private func scoreEvery(
        _ rows: Range<Int>, _ query: PreparedQuery, into best: inout TopK, _ scratch: inout ScanScratch
    ) throws(Failure) {
        var start = rows.lowerBound
        while start < rows.upperBound {
            let count: Int
            switch block.vectors {
            case .memory(let vectors):
                count = min(ScanScratch.rowsPerCall, rows.upperBound - start)
                facet_score_rows(
                    query.values, vectors + start * query.dimension, count, query.dimension, scratch.scores)
            case .stored:
                count = min(ScanScratch.rowsPerRead, rows.upperBound - start)
                for row in 0..<count { scratch.positions[row] = UInt32(start + row) }
                try scoreChosen(count, query, scratch)
            }
            let found = facet_select_at_least(scratch.scores, count, best.bound, scratch.positions)
            for hit in 0..<found {
                let position = Int(scratch.positions[hit])
                let row = block.firstRow + start + position
                if !dead.contains(row) { offer(start + position, scratch.scores[position], to: &best) }
            }
            scratch.counts.scored += count
            start += count
        }
    }

    /// The rows of `tiles` that every stage of one query leaves.
    func scoreSurvivors(
        of planes: PlaneBlock, _ tiles: Range<Int>, _ query: PreparedQuery, _ pass: ScanPass, into best: inout TopK,
        _ scratch: inout ScanScratch
    ) throws(Failure) {
        let bound = best.bound
        var left = Survivors(found: 0, stages: 0)
        query.planes.withTables { tables in
            let rowSums: UnsafePointer<UInt16>
            switch pass {
            case .only, .ahead:
                let into = pass.keeping ?? scratch.rowSums
                scratch.into[0] = into
                planes.sum(tables, 1, tile: tiles.lowerBound, count: tiles.count, into: scratch.into)
                rowSums = UnsafePointer(into)
            case .answer(let kept): rowSums = kept
            }
            let limit = query.planes.bounds.limit(bound, planes: planes.code.first, isHasty: pass.isAhead)
            left.found = planes.select(
                tables, rowSums, tile: tiles.lowerBound, count: tiles.count, limit: limit,
                positions: scratch.positions, sums: scratch.sums)
        }
        if !pass.isAhead { scratch.counts.count(scanned: tiles.count * PlaneCode.tileRows, left: left.found) }
        try finish(planes, tiles, query, left, bound: bound, isHasty: pass.isAhead, into: &best, &scratch)
    }

    /// Rows that stand in the scratch, and how many of the later stages they were left by.
    struct Survivors {
        var found: Int
        var stages: Int
    }

    /// The other stages for the rows that stand in the scratch. Those that are left then are scored in falling order of
    /// what they may reach, until that is below the bound. So a top-k that is not full yet has the likely rows scored,
    /// not all.
    func finish(
        _ planes: PlaneBlock, _ tiles: Range<Int>, _ query: PreparedQuery, _ left: Survivors, bound: Float,
        isHasty: Bool, into best: inout TopK, _ scratch: inout ScanScratch
    ) throws(Failure) {
        var found = left.found
        query.planes.withTables { tables in
            for stage in left.stages..<max(left.stages, planes.code.later.count) where found > 0 {
                let limit = query.planes.bounds.limit(
                    bound, planes: planes.code.prefix(stages: stage + 1), isHasty: isHasty)
                found = planes.refine(
                    tables, stage: stage, tile: tiles.lowerBound, limit: limit, positions: scratch.positions,
                    sums: scratch.sums, found)
                if !isHasty { scratch.counts.count(stage: stage + 1, left: found) }
            }
        }
        guard found > 0 else { return }
        let ceiling = PlaneCeiling(planes, query.planes, bound: bound, isHasty: isHasty)
        let firstPlaneRow = tiles.lowerBound * PlaneCode.tileRows
        var queue = CandidateQueue(scratch.candidates)
        for hit in 0..<found {
            let planeRow = firstPlaneRow + Int(scratch.positions[hit])
            let row = planeRow - block.firstPlaneRow
            // Tiles at the ends hold others' rows too.
            guard (0..<block.count).contains(row), !dead.contains(block.firstRow + row) else { continue }
            queue.add(Candidate(ceiling: ceiling.of(planeRow, sum: scratch.sums[hit]), row: UInt32(row)))
        }
        try score(&queue, query, into: &best, &scratch)
    }

    private func score(
        _ queue: inout CandidateQueue, _ query: PreparedQuery, into best: inout TopK, _ scratch: inout ScanScratch
    ) throws(Failure) {
        while true {
            // The kernels' positions are done with.
            let count = queue.take(ScanScratch.rowsPerRead, atLeast: best.bound, into: scratch.positions)
            guard count > 0 else { return }
            try scoreChosen(count, query, scratch)
            for hit in 0..<count { offer(Int(scratch.positions[hit]), scratch.scores[hit], to: &best) }
            scratch.counts.scored += count
        }
    }

    /// Scores the rows whose numbers within the block stand in `positions`, `rowsPerRead` at most.
    private func scoreChosen(_ count: Int, _ query: PreparedQuery, _ scratch: borrowing ScanScratch) throws(Failure) {
        switch block.vectors {
        case .memory(let vectors):
            facet_score_chosen(query.values, vectors, scratch.positions, count, query.dimension, scratch.scores)
        case .stored(let read):
            for row in 0..<count { scratch.wanted[row] = block.firstRow + Int(scratch.positions[row]) }
            let vectors = scratch.vectors.base.assumingMemoryBound(to: Float.self)
            try read(UnsafeBufferPointer(start: scratch.wanted, count: count), vectors)
            facet_score_rows(query.values, vectors, count, query.dimension, scratch.scores)
        }
    }

    private func offer(_ position: Int, _ score: Float, to best: inout TopK) {
        // The bound rises within a call; asking again spares the id.
        guard score >= best.bound else { return }
        let locator = RowLocator(source: block.source, row: block.firstRow + position)
        best.insert(Match(face: block.ids[position], score: score), at: locator)
    }
}

/// The exact score of one pair, as `scan` gives it; vectors of two dimensions are a programming error.
package func exactScore(_ query: PreparedQuery, _ vector: RotatedVector) -> Float {
    precondition(query.dimension == vector.dimension, "vectors of two collections")
    var score: Float = 0
    facet_score_rows(query.values, vector.values, 1, query.dimension, &score)
    return score
}
