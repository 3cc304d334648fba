import CVectorKernels
package import FaceModel

/// Rows of fp32 vectors one after another, their ids, and their bit planes if there are any: memory that outlives the
/// scan.
package struct RowBlock {
    /// `count` x `dimension` floats.
    package var rows: UnsafePointer<Float>
    package var ids: UnsafePointer<FaceID>
    package var count: Int
    package var source: RowSource
    /// Number of the first row within its source.
    package var firstRow: Int
    package var planes: PlaneBlock?
    /// Number of the first row within `planes`.
    package var firstPlaneRow: Int

    package init(
        rows: UnsafePointer<Float>, ids: UnsafePointer<FaceID>, count: Int, source: RowSource, firstRow: Int,
        planes: PlaneBlock? = nil, firstPlaneRow: Int = 0
    ) {
        self.rows = rows
        self.ids = ids
        self.count = count
        self.source = source
        self.firstRow = firstRow
        self.planes = planes
        self.firstPlaneRow = firstPlaneRow
    }

    /// The rows, from 0, that stand in whole tiles of planes; empty when none do.
    fileprivate var tiled: Range<Int> {
        guard let planes else { return 0..<0 }
        let tile = PlaneCode.tileRows
        let start = (firstPlaneRow + tile - 1) / tile * tile
        let end = min((firstPlaneRow + count) / tile, planes.tiles) * tile
        return start < end ? start - firstPlaneRow..<end - firstPlaneRow : 0..<0
    }
}

/// What one thread's scans write between kernel and top-k; kept from scan to scan, so that a scan allocates nothing.
package struct ScanScratch: ~Copyable {
    /// Rows a kernel call scores: their scores and positions stay in L1.
    static let rowsPerCall = 512
    /// Rows whose planes are scanned by one bound.
    static let rowsPerBound = 2_048

    let scores: UnsafeMutablePointer<Float>
    let positions: UnsafeMutablePointer<UInt32>
    let sums: UnsafeMutablePointer<Int32>
    /// Of every scan so far.
    package internal(set) var counts = PlaneCounts()

    package init() {
        scores = .allocate(capacity: Self.rowsPerBound)
        positions = .allocate(capacity: Self.rowsPerBound)
        sums = .allocate(capacity: Self.rowsPerBound)
    }

    deinit {
        scores.deallocate()
        positions.deallocate()
        sums.deallocate()
    }
}

/// Finds the rows of `block` that are not `dead` (numbered within the source) and are among the best, and offers them
/// with their exact scores to `best`: those and no others that scoring every row would offer. Returns the live faces
/// compared. Dead rows are compared with their neighbours, being few, and never offered.
package func scan(
    _ block: RowBlock, dead: RowBitmap, query: PreparedQuery, into best: inout TopK, scratch: inout ScanScratch
) -> Int {
    let tiled = query.planes.isUsable ? block.tiled : 0..<0
    let scan = BlockScan(block: block, dead: dead, query: query)
    scan.scoreEvery(0..<tiled.lowerBound, into: &best, &scratch)
    if let planes = block.planes { scan.scoreSurvivors(of: planes, tiled, into: &best, &scratch) }
    scan.scoreEvery(tiled.upperBound..<block.count, into: &best, &scratch)
    return block.count - dead.count(in: block.firstRow..<block.firstRow + block.count)
}

private struct BlockScan {
    let block: RowBlock
    let dead: RowBitmap
    let query: PreparedQuery

    func scoreEvery(_ rows: Range<Int>, into best: inout TopK, _ scratch: inout ScanScratch) {
        let dimension = query.dimension
        query.values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            var start = rows.lowerBound
            while start < rows.upperBound {
                let count = min(ScanScratch.rowsPerCall, rows.upperBound - start)
                facet_score_rows(values, block.rows + start * dimension, count, dimension, scratch.scores)
                let found = facet_select_at_least(scratch.scores, count, best.bound, scratch.positions)
                for hit in 0..<found {
                    let position = Int(scratch.positions[hit])
                    offer(start + position, scratch.scores[position], to: &best)
                }
                scratch.counts.scored += count
                start += count
            }
        }
    }

    /// `rows` are whole tiles.
    func scoreSurvivors(
        of planes: PlaneBlock, _ rows: Range<Int>, into best: inout TopK, _ scratch: inout ScanScratch
    ) {
        // Few rows at first: until the top-k is full each of them is scored exactly.
        var most = PlaneCode.tileRows
        var start = rows.lowerBound
        while start < rows.upperBound {
            let count = min(most, rows.upperBound - start)
            if best.bound > -1 {
                scoreSurvivors(of: planes, some: start..<start + count, into: &best, &scratch)
            } else {
                scoreEvery(start..<start + count, into: &best, &scratch)
            }
            start += count
            most = min(2 * most, ScanScratch.rowsPerBound)
        }
    }

    private func scoreSurvivors(
        of planes: PlaneBlock, some rows: Range<Int>, into best: inout TopK, _ scratch: inout ScanScratch
    ) {
        let tile = PlaneCode.tileRows
        let found = planes.survivors(
            query.planes, tile: (block.firstPlaneRow + rows.lowerBound) / tile, count: rows.count / tile,
            bound: best.bound, positions: scratch.positions, sums: scratch.sums, left: &scratch.counts)
        facet_score_chosen(
            query.values, block.rows + rows.lowerBound * query.dimension, scratch.positions, found, query.dimension,
            scratch.scores)
        for hit in 0..<found {
            offer(rows.lowerBound + Int(scratch.positions[hit]), scratch.scores[hit], to: &best)
        }
        scratch.counts.scored += found
    }

    private func offer(_ position: Int, _ score: Float, to best: inout TopK) {
        let row = block.firstRow + position
        // The bound rises within a call; asking again spares the id and the bitmap.
        guard score >= best.bound, !dead.contains(row) else { return }
        best.insert(Match(face: block.ids[position], score: score), at: RowLocator(source: block.source, row: row))
    }
}

/// The exact score of one pair, as `scan` gives it; vectors of two dimensions are a programming error.
package func exactScore(_ query: PreparedQuery, _ vector: RotatedVector) -> Float {
    precondition(query.dimension == vector.dimension, "vectors of two collections")
    var score: Float = 0
    facet_score_rows(query.values, vector.values, 1, query.dimension, &score)
    return score
}
