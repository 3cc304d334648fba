import CVectorKernels

/// What one stage knows of a row: for measurements of the bound, which a scan never makes.
package struct PlaneEstimate: Hashable, Sendable {
    /// Of the cosine; 0 for a row that is not estimated.
    package var cosine: Float
    /// Of the row's own error, per unit of the query across the row; infinite for a row that is not estimated.
    package var radius: Float
}

extension PlaneBlock {
    /// The estimates of a tile's rows after each stage.
    package func estimates(_ query: PlaneQuery, tile: Int) -> [[PlaneEstimate]] {
        let every = facet_plane_limit(scale: 0, reach: 1, slack: 0, bound: -.infinity)
        var positions = [UInt32](repeating: 0, count: PlaneCode.tileRows)
        var sums = [Int32](repeating: 0, count: PlaneCode.tileRows)
        var planes = 0
        return (0...code.later.count).map { stage in
            planes += stage == 0 ? code.first : code.later[stage - 1]
            query.withTables { read(stage, $0, tile, limit: every, &positions, &sums) }
            return (0..<PlaneCode.tileRows).map { row in
                let (factor, radius) = factors(stage, row: tile * PlaneCode.tileRows + row)
                return PlaneEstimate(cosine: query.cosine(sum: sums[row], planes: planes, factor), radius: radius)
            }
        }
    }
}

extension PlaneQuery {
    fileprivate func cosine(sum: Int32, planes: Int, _ factor: Float) -> Float {
        Float(2 * sum - (1 << Int32(planes) - 1) * total) * factor * scale
    }

    /// By how many standard errors the estimate lies below the exact score; what exceeds `sigmas` is a miss. For
    /// certain bounds the errors of row and query are added in full, and `sqrt(d - 1)` is what cannot be exceeded.
    package func standardErrors(_ estimate: PlaneEstimate, below score: Float) -> Float {
        let square = max(0, 1 - score * score)
        let (radius, length) = (estimate.radius, Float(error))
        let deviation =
            isCertain
            ? square.squareRoot() * radius + length * (1 + radius / 2)
            : (radius * radius * (square + length * length) + length * length).squareRoot()
        return (score - estimate.cosine) / deviation * Float(dimension - 1).squareRoot()
    }
}
