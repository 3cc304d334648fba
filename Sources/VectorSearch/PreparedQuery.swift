package import FaceModel

/// A query as the kernels take it: its components for exact scores, its codes for the search by planes.
package struct PreparedQuery: Sendable {
    /// Each float converted to double, which is exact.
    let values: [Double]
    package let planes: PlaneQuery
    package var dimension: Int { values.count }

    /// `sigmas` as `PlaneQuery` takes it.
    package init(_ vector: RotatedVector, sigmas: Double = PlaneCode.sigmasDefault) {
        precondition(vector.dimension.isMultiple(of: 8), "kernels sum eight lanes")
        values = vector.values.map(Double.init)
        planes = PlaneQuery(vector, sigmas: sigmas)
    }
}
