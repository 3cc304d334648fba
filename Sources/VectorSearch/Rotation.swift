package import FaceModel

/// A collection's secret orthogonal transform: cosines stay, templates of two collections cannot be linked.
///
/// Three rounds of {a sign for each component, Walsh-Hadamard over the first `p` components, signs again,
/// Walsh-Hadamard over the last `p`, a permutation}, `p` the largest power of two within the dimension.
/// No padding. The second signs matter: without them the second transform half undoes the first wherever the two
/// overlap at a multiple of a power of two (1,536 = 1,024 + 512 left single axes with components above 6 standard
/// deviations).
///
/// Signs and permutations are drawn from the ChaCha20 key stream of (seed, nonce "facet-rotate"), a round at a time in
/// the order above: for signs one word per 32 components, lowest bit first, 1 is minus; for the permutation a
/// Fisher-Yates shuffle from the last position down.
///
/// Every sum is taken in a fixed order in double, so the same seed and vector give the same bits on every CPU.
/// (Structure: Ailon and Chazelle's fast Johnson-Lindenstrauss transform, repeated as in structured random rotations.)
package struct Rotation: Sendable {
    private struct Round {
        /// +1 or -1, before the first and before the second transform.
        var prefixSigns: [Double]
        var suffixSigns: [Double]
        /// Component `i` of the output is component `permutation[i]` of the input.
        var permutation: [Int]
    }

    package static let seedBytes = 32
    private static let roundCount = 3

    package let dimension: Int
    private let rounds: [Round]
    /// Components that one Walsh-Hadamard transform mixes.
    private let span: Int
    private let scale: Double

    /// `seed` is secret and `seedBytes` long; another length is a programming error.
    package init(dimension: Int, seed: [UInt8]) throws(VectorError) {
        try VectorValidation.validate(dimension: dimension)
        precondition(seed.count == Self.seedBytes, "a rotation's seed has 32 bytes")
        self.dimension = dimension
        span = 1 << (Int.bitWidth - 1 - dimension.leadingZeroBitCount)
        scale = 1 / Double(span).squareRoot()
        var stream = KeyStream(key: seed, nonce: Array("facet-rotate".utf8))
        rounds = (0..<Self.roundCount).map { _ in
            let prefixSigns = Self.signs(dimension, &stream)
            let suffixSigns = Self.signs(dimension, &stream)
            return Round(
                prefixSigns: prefixSigns, suffixSigns: suffixSigns,
                permutation: Self.permutation(dimension, &stream))
        }
    }

    /// Checks, normalises and rotates: the only way to make a `RotatedVector` from what came from outside.
    package func rotate(_ embedding: Embedding) throws(VectorError) -> RotatedVector {
        var values = try VectorValidation.normalised(embedding, dimension: dimension)
        for round in rounds {
            for index in values.indices { values[index] *= round.prefixSigns[index] }
            transform(&values, from: 0)
            for index in values.indices { values[index] *= round.suffixSigns[index] }
            transform(&values, from: dimension - span)
            values = round.permutation.map { values[$0] }
        }
        return RotatedVector(rotated: values.map { Float($0) })
    }

    /// The unit vector that was rotated, within 1e-6 a component; another dimension is a programming error.
    package func unrotate(_ vector: RotatedVector) -> Embedding {
        precondition(vector.dimension == dimension, "a vector of another collection")
        var values = vector.values.map(Double.init)
        for round in rounds.reversed() {
            let permuted = values
            for (index, source) in round.permutation.enumerated() { values[source] = permuted[index] }
            transform(&values, from: dimension - span)
            for index in values.indices { values[index] *= round.suffixSigns[index] }
            transform(&values, from: 0)
            for index in values.indices { values[index] *= round.prefixSigns[index] }
        }
        return Embedding(values.map { Float($0) })
    }

    /// Walsh-Hadamard over `span` components from `start`, scaled to be orthogonal: its own inverse.
    private func transform(_ values: inout [Double], from start: Int) {
        var half = 1
        while half < span {
            for block in stride(from: start, to: start + span, by: 2 * half) {
                for index in block..<block + half {
                    let (a, b) = (values[index], values[index + half])
                    values[index] = a + b
                    values[index + half] = a - b
                }
            }
            half *= 2
        }
        for index in start..<start + span { values[index] *= scale }
    }

    private static func signs(_ count: Int, _ stream: inout KeyStream) -> [Double] {
        var word: UInt32 = 0
        return (0..<count).map { index in
            if index.isMultiple(of: 32) { word = stream.next32() }
            defer { word >>= 1 }
            return word & 1 == 1 ? -1 : 1
        }
    }

    private static func permutation(_ count: Int, _ stream: inout KeyStream) -> [Int] {
        var order = Array(0..<count)
        for last in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(last, Int(stream.next(below: UInt32(last + 1))))
        }
        return order
    }
}
