import CVectorKernels
package import FaceModel

/// For each query, finds the rows of `block` that are not `dead` (numbered within the source) and are among the best,
/// and offers them with their exact scores to the query's top-k: those and no others that scoring every row would offer.
/// Returns the live faces compared, the same for all queries. Dead rows are compared with their neighbours, being few,
/// and never offered.
///
/// Some rows are scanned for all queries before the next ones, so that their planes are read from memory once.
/// As many `tops` as `queries`; anything else is a programming error. Throws what reading a vector does.
package func scan<Failure: Error>(
    _ block: RowBlock<Failure>, dead: RowBitmap, queries: [PreparedQuery], into tops: inout [TopK],
    scratch: inout ScanScratch
) throws(Failure) -> Int {
    precondition(queries.count == tops.count, "a top-k for each query")
    let scan = BlockScan(block: block, dead: dead)
    if let planes = block.planes {
        let tiles = block.tiles
        // Few rows at first: their best make a bound for the next ones.
        var (tile, most) = (tiles.lowerBound, BlockScan<Failure>.firstTiles)
        while tile < tiles.upperBound {
            let count = min(most, tiles.upperBound - tile)
            for (at, query) in queries.enumerated() where query.planes.isUsable {
                try scan.scoreSurvivors(of: planes, tile..<tile + count, query, into: &tops[at], &scratch)
            }
            tile += count
            most = min(2 * most, ScanScratch.tilesPerBound)
        }
    }
    for (at, query) in queries.enumerated() {
        try scan.scoreEvery(
            query.planes.isUsable ? block.untiled : 0..<block.count, query, into: &tops[at], &scratch)
    }
    return block.count - dead.count(in: block.firstRow..<block.firstRow + block.count)
}

/// A batch of one query.
package func scan<Failure: Error>(
    _ block: RowBlock<Failure>, dead: RowBitmap, query: PreparedQuery, into best: inout TopK,
    scratch: inout ScanScratch
) throws(Failure) -> Int {
    var tops = [best]
    defer { best = tops[0] }
    return try scan(block, dead: dead, queries: [query], into: &tops, scratch: &scratch)
}

private struct BlockScan<Failure: Error> {
    static var firstTiles: Int { 4 }

    let block: RowBlock<Failure>
    let dead: RowBitmap

    func scoreEvery(
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

    /// The rows of `tiles` that their planes leave are scored in falling order of what they may reach, until that is
    /// below the bound. So a top-k that is not full yet has the likely rows scored, not all.
    func scoreSurvivors(
        of planes: PlaneBlock, _ tiles: Range<Int>, _ query: PreparedQuery, into best: inout TopK,
        _ scratch: inout ScanScratch
    ) throws(Failure) {
        let bound = best.bound
        let found = planes.survivors(
            query.planes, tile: tiles.lowerBound, count: tiles.count, bound: bound, positions: scratch.positions,
            sums: scratch.sums, left: &scratch.counts)
        guard found > 0 else { return }
        let ceiling = PlaneCeiling(planes, query.planes, bound: bound)
        let firstPlaneRow = tiles.lowerBound * PlaneCode.tileRows
        var queue = CandidateQueue(scratch.candidates)
        for hit in 0..<found {
            let planeRow = firstPlaneRow + Int(scratch.positions[hit])
            let row = planeRow - block.firstPlaneRow
            // Tiles at the ends hold others' rows too.
            guard (0..<block.count).contains(row), !dead.contains(block.firstRow + row) else { continue }
            queue.add(Candidate(ceiling: ceiling.of(planeRow, sum: scratch.sums[hit]), row: UInt32(row)))
        }
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
