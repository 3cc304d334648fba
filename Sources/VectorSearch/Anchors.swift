import CVectorKernels
package import FaceModel

/// Directions that divide a collection's faces among its shards: a face's home is the nearest of them.
///
/// They are drawn from the collection's key before any face comes and are never stored, so every machine must get the
/// same bits. Components are drawn from the ChaCha20 key stream of (seed, nonce "facet-anchor"), anchor after anchor: a
/// component is the sum of the upper 20 bits of four words less the mean of such a sum, an integer in -2^21 ... 2^21.
/// The sum of squares is taken in integers and stays below 2^54; its root, the quotient and the rounding to float are
/// single operations that IEEE 754 defines to the bit.
package struct Anchors: Sendable {
    package static let seedBytes = 32
    private static let wordsPerComponent = 4
    private static let bitsPerWord = 20

    package let count: Int
    package let dimension: Int
    /// The anchors one after another; empty for a single one, which is everybody's home.
    let rows: [Float]

    /// `seed` is secret and `seedBytes` long, `dimension` a collection's, `count` 1...`Limits.shardsPerCollectionMax`;
    /// anything else is a programming error.
    package init(count: Int, dimension: Int, seed: [UInt8]) {
        precondition((1...Limits.shardsPerCollectionMax).contains(count), "a collection's shards are bounded")
        precondition(Limits.dimensionRange.contains(dimension) && dimension.isMultiple(of: 8), "a checked dimension")
        precondition(seed.count == Self.seedBytes, "an anchor's seed has 32 bytes")
        self.count = count
        self.dimension = dimension
        var stream = KeyStream(key: seed, nonce: Array("facet-anchor".utf8))
        rows = count == 1 ? [] : (0..<count).flatMap { _ in Self.direction(dimension, &stream) }
    }

    /// The anchor nearest to the vector by exact score, 0 ..< `count`; of equals the first. A vector of another
    /// dimension is a programming error.
    package func home(of vector: RotatedVector) -> Int {
        precondition(vector.dimension == dimension, "a vector of another collection")
        guard count > 1 else { return 0 }
        var scores = [Float](repeating: 0, count: count)
        facet_score_rows(PreparedQuery(vector).values, rows, count, dimension, &scores)
        var best = 0
        for index in 1..<count where scores[index] > scores[best] { best = index }
        return best
    }

    private static func direction(_ dimension: Int, _ stream: inout KeyStream) -> [Float] {
        let mean = Int64(wordsPerComponent) * ((1 << bitsPerWord) - 1) / 2
        let components = (0..<dimension).map { _ in
            (0..<wordsPerComponent).reduce(-mean) { sum, _ in sum + Int64(stream.next32() >> (32 - bitsPerWord)) }
        }
        let norm = Double(components.reduce(0) { $0 + $1 * $1 }).squareRoot()
        precondition(norm > 0, "a direction drawn from a key stream is not zero")
        return components.map { Float(Double($0) / norm) }
    }
}
