import CVectorKernels
package import FaceModel

/// Two directions that faces are divided between: each goes to the nearer.
package struct DirectionPair: Hashable, Sendable {
    /// One after the other.
    private let rows: [Float]

    /// Of one dimension; anything else is a programming error.
    package init(_ first: RotatedVector, _ second: RotatedVector) {
        precondition(first.dimension == second.dimension, "directions of two collections")
        rows = first.values + second.values
    }

    package var first: RotatedVector { RotatedVector(rotated: Array(rows.prefix(rows.count / 2))) }
    package var second: RotatedVector { RotatedVector(rotated: Array(rows.suffix(rows.count / 2))) }

    /// By exact score, so that everybody divides alike; of equals the first is nearer. A vector of another dimension is a
    /// programming error.
    package func isNearerToSecond(_ vector: RotatedVector) -> Bool {
        let scores = scores(vector.values.map(Double.init))
        return scores.1 > scores.0
    }

    /// Exact, of the first and the second.
    func scores(_ values: [Double]) -> (Float, Float) {
        precondition(rows.count == 2 * values.count, "a vector of another collection")
        var scores: (Float, Float) = (0, 0)
        withUnsafeMutableBytes(of: &scores) { bytes in
            guard let scores = bytes.bindMemory(to: Float.self).baseAddress else { return }
            facet_score_rows(values, rows, 2, values.count, scores)
        }
        return scores
    }
}
