import CVectorKernels
package import FaceModel

/// Rows of fp32 vectors one after another, and their ids: memory that outlives the scan.
package struct RowBlock {
    /// `count` x `dimension` floats.
    package var rows: UnsafePointer<Float>
    package var ids: UnsafePointer<FaceID>
    package var count: Int
    package var source: RowSource
    /// Number of the first row within its source.
    package var firstRow: Int

    package init(
        rows: UnsafePointer<Float>, ids: UnsafePointer<FaceID>, count: Int, source: RowSource, firstRow: Int
    ) {
        self.rows = rows
        self.ids = ids
        self.count = count
        self.source = source
        self.firstRow = firstRow
    }
}

/// What one thread's scans write between kernel and top-k; kept from scan to scan, so that a scan allocates nothing.
package struct ScanScratch: ~Copyable {
    /// Rows a kernel call scores: their scores and positions stay in L1.
    static let rowsPerCall = 512

    let scores: UnsafeMutablePointer<Float>
    let positions: UnsafeMutablePointer<UInt32>

    package init() {
        scores = .allocate(capacity: Self.rowsPerCall)
        positions = .allocate(capacity: Self.rowsPerCall)
    }

    deinit {
        scores.deallocate()
        positions.deallocate()
    }
}

/// Scores every row of `block`, exactly, and offers those that are not `dead` (numbered within the source) to `best`.
/// Returns the live faces scored. Dead rows are scored with their neighbours, being few, and never offered.
package func scan(
    _ block: RowBlock, dead: RowBitmap, query: PreparedQuery, into best: inout TopK, scratch: inout ScanScratch
) -> Int {
    let dimension = query.dimension
    query.values.withUnsafeBufferPointer { values in
        guard let values = values.baseAddress else { return }
        var start = 0
        while start < block.count {
            let count = min(ScanScratch.rowsPerCall, block.count - start)
            facet_score_rows(values, block.rows + start * dimension, count, dimension, scratch.scores)
            let found = facet_select_at_least(scratch.scores, count, best.bound, scratch.positions)
            for hit in 0..<found {
                let position = Int(scratch.positions[hit])
                let row = block.firstRow + start + position
                // The bound rises within the call; asking again spares the id and the bitmap.
                guard scratch.scores[position] >= best.bound, !dead.contains(row) else { continue }
                let match = Match(face: block.ids[start + position], score: scratch.scores[position])
                best.insert(match, at: RowLocator(source: block.source, row: row))
            }
            start += count
        }
    }
    return block.count - dead.count(in: block.firstRow..<block.firstRow + block.count)
}

/// The exact score of one pair, as `scan` gives it; vectors of two dimensions are a programming error.
package func exactScore(_ query: PreparedQuery, _ vector: RotatedVector) -> Float {
    precondition(query.dimension == vector.dimension, "vectors of two collections")
    var score: Float = 0
    facet_score_rows(query.values, vector.values, 1, query.dimension, &score)
    return score
}
