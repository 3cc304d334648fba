package import FaceModel

/// Why a vector was refused. Cases name positions, never values.
package enum VectorError: Error, Hashable, Sendable {
    /// Outside `Limits.dimensionRange`.
    case dimensionOutOfRange(Int)
    case dimensionNotMultipleOf8(Int)
    case dimensionMismatch(expected: Int, got: Int)
    /// NaN or infinite; `component` is the first such index.
    case notFinite(component: Int)
    /// The norm is not above `Limits.normMin`: the vector has no direction.
    case normTooSmall
}

/// The checks every vector from outside passes before it is used.
package enum VectorValidation {
    /// Throws unless a collection could have this dimension.
    package static func validate(dimension: Int) throws(VectorError) {
        guard Limits.dimensionRange.contains(dimension) else { throw .dimensionOutOfRange(dimension) }
        guard dimension.isMultiple(of: 8) else { throw .dimensionNotMultipleOf8(dimension) }
    }

    /// Throws unless `embedding` has the collection's dimension, only finite components, and a direction.
    package static func validate(_ embedding: Embedding, dimension: Int) throws(VectorError) {
        _ = try normalised(embedding, dimension: dimension)
    }

    /// The unit vector in the same direction, in double: squares of floats and their sum fit, whatever the floats.
    static func normalised(_ embedding: Embedding, dimension: Int) throws(VectorError) -> [Double] {
        try validate(dimension: embedding.dimension)
        guard embedding.dimension == dimension else {
            throw .dimensionMismatch(expected: dimension, got: embedding.dimension)
        }
        if let component = embedding.values.firstIndex(where: { !$0.isFinite }) {
            throw .notFinite(component: component)
        }
        var values = embedding.values.map(Double.init)
        let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        guard norm > Double(Limits.normMin) else { throw .normTooSmall }
        for index in values.indices { values[index] /= norm }
        return values
    }
}
