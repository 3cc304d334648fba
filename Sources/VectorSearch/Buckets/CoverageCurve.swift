package import FaceModel
import Glibc

/// How many buckets a routed search must read so that the best mate's bucket is among them with a wanted probability,
/// from the ranks that the home buckets of known mates had.
package struct CoverageCurve: Hashable, Sendable {
    /// Where the ranks come from.
    package enum Source: String, Hashable, Sendable {
        /// Faces of one person as the collection itself holds them.
        case mates
        /// Mates simulated with the within-person scatter that the model's manifest states.
        case model
        /// Mates simulated with a scatter that nobody measured.
        case assumed
    }

    package let source: Source
    /// Buckets there were when the ranks were taken.
    package let buckets: Int
    /// Rising.
    private let ranks: [Int]

    /// `ranks`: of each known mate's bucket in the order for its probe, the first being 0. A rank beyond `buckets` is a
    /// programming error.
    package init(ranks: [Int], buckets: Int, source: Source) {
        precondition(ranks.allSatisfy { (0..<buckets).contains($0) }, "a rank among the buckets")
        self.ranks = ranks.sorted()
        self.buckets = buckets
        self.source = source
    }

    /// Mates that the curve was taken from.
    package var mates: Int { ranks.count }

    /// The least number of buckets, 1...`buckets`, that holds a further mate's bucket with probability `coverage` (0...1).
    ///
    /// Of n ranks the k-th smallest is reached by a further one with probability at least k / (n + 1), whatever their
    /// distribution, so k = coverage (n + 1), rounded up; too few mates for the coverage wanted: every bucket.
    package func probes(for coverage: Double) -> Int {
        let k = max(1, Int((coverage * Double(ranks.count + 1)).rounded(.up)))
        return k <= ranks.count ? ranks[k - 1] + 1 : buckets
    }

    /// Another image of the same person: a unit vector whose cosine to `vector` is `cosine`, in a random direction.
    ///
    /// `others` are faces of the collection: the direction then varies as they do among themselves, more where faces
    /// vary more. Without any it is even in all directions, which flatters buckets: they follow what varies most.
    package static func simulatedMate(
        of vector: RotatedVector, cosine: Float, among others: [RotatedVector] = [],
        using generator: inout some RandomNumberGenerator
    ) -> RotatedVector {
        precondition((-1...1).contains(cosine), "a cosine")
        let values = vector.values.map(Double.init)
        var noise = [Double](repeating: 0, count: values.count)
        if others.isEmpty {
            for index in noise.indices { noise[index] = normal(&generator) }
        } else {
            for _ in 0..<scatterFaces {
                let other = others[Int.random(in: others.indices, using: &generator)]
                precondition(other.dimension == values.count, "faces of one collection")
                let weight = normal(&generator)
                for index in noise.indices { noise[index] += weight * Double(other.values[index]) }
            }
        }
        let whole = noise.reduce(0) { $0 + $1 * $1 }
        let along = zip(noise, values).reduce(0) { $0 + $1.0 * $1.1 } / values.reduce(0) { $0 + $1 * $1 }
        for index in noise.indices { noise[index] -= along * values[index] }
        let square = noise.reduce(0) { $0 + $1 * $1 }
        // Others that all stand in one line with the vector say nothing of directions.
        guard square > 1e-6 * whole else { return simulatedMate(of: vector, cosine: cosine, using: &generator) }
        let across = (1 - Double(cosine) * Double(cosine)).squareRoot() / square.squareRoot()
        let mate = zip(values, noise).map { Double(cosine) * $0 + across * $1 }
        let norm = mate.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return RotatedVector(rotated: mate.map { Float($0 / norm) })
    }

    /// Faces whose sum, with random weights, makes one direction.
    private static let scatterFaces = 64

    /// Box and Muller's normal deviate; the second of the pair is not kept.
    private static func normal(_ generator: inout some RandomNumberGenerator) -> Double {
        let uniform = { (bits: UInt64) in Double((bits >> 11) + 1) * 0x1p-53 }
        let radius = (-2 * log(uniform(generator.next()))).squareRoot()
        return radius * cos(2 * Double.pi * uniform(generator.next()))
    }
}
