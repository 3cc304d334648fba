package import FaceModel

/// A query's components as the kernels take them: each float converted to double, which is exact.
package struct PreparedQuery: Sendable {
    let values: [Double]
    package var dimension: Int { values.count }

    package init(_ vector: RotatedVector) {
        precondition(vector.dimension.isMultiple(of: 8), "kernels sum eight lanes")
        values = vector.values.map(Double.init)
    }
}
