import Foundation

/// Face-like unit vectors, the set "hard" of the design: identities `z ~ N(0, S)` on a decaying spectrum whose
/// participation ratio is .62 of the dimension, unit long; images `normalize(z + s e)`, `e ~ N(0, S)`, `s` log-normal
/// around .66 (sigma .18), twice that in 4 % of images; 1 to 4 images an identity. Genuine pairs have cosine .67 +- .08
/// with a tail to .3, impostors .000 +- .056 at 512 dimensions.
///
/// Blocks are drawn from streams of their own: any thread may make any of them, and rows stay what they are.
struct FaceGenerator: Sendable {
    static let blockRows = 4_096
    private static let participation = 0.62
    private static let images = [1, 1, 1, 2, 2, 3, 4]

    let dimension: Int
    let seed: UInt64
    private let deviations: [Float]

    init(dimension: Int, seed: UInt64 = 1) {
        self.dimension = dimension
        self.seed = seed
        deviations = Self.deviations(dimension)
    }

    /// The rows of a block, one after another, and a fresh image of one of its identities.
    func block(_ number: Int) -> (rows: [Float], probe: [Float]) {
        var normals = Normals(seed: seed &* 0x1_0000_0001 &+ UInt64(number))
        var rows: [Float] = []
        rows.reserveCapacity(Self.blockRows * dimension)
        var probe: [Float] = []
        while rows.count < Self.blockRows * dimension {
            let identity = unit(vector(&normals))
            if probe.isEmpty { probe = image(identity, &normals) }
            let images = Self.images[Int(normals.bits.next() % UInt64(Self.images.count))]
            for _ in 0..<images where rows.count < Self.blockRows * dimension {
                rows += image(identity, &normals)
            }
        }
        return (rows, probe)
    }

    private func image(_ identity: [Float], _ normals: inout Normals) -> [Float] {
        var scatter = exp(log(0.66) + 0.18 * normals.next())
        if normals.bits.next() % 25 == 0 { scatter *= 2 }
        let noise = vector(&normals)
        return unit(zip(identity, noise).map { $0 + Float(scatter) * $1 })
    }

    private func vector(_ normals: inout Normals) -> [Float] {
        deviations.map { $0 * Float(normals.next()) }
    }

    private func unit(_ values: [Float]) -> [Float] {
        let length = values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        return values.map { Float(Double($0) / length) }
    }

    /// Variances (1 + i / (d / 8))^-a, summing to 1, with `a` found by halving.
    private static func deviations(_ dimension: Int) -> [Float] {
        let variances = { (exponent: Double) in
            (0..<dimension).map { pow(1 + Double($0) / (Double(dimension) / 8), -exponent) }
        }
        var (low, high) = (0.0, 8.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            let values = variances(middle)
            let sum = values.reduce(0, +)
            let squares = values.reduce(0) { $0 + $1 * $1 }
            if sum * sum / squares > participation * Double(dimension) { low = middle } else { high = middle }
        }
        let values = variances(low)
        let sum = values.reduce(0, +)
        return values.map { Float(($0 / sum).squareRoot()) }
    }
}

/// SplitMix64.
struct Bits: Sendable {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// Box and Muller's normal deviates.
private struct Normals {
    var bits: Bits
    private var spare: Double?

    init(seed: UInt64) { bits = Bits(state: seed &* 0xD6E8_FEB8_6659_FD93) }

    mutating func next() -> Double {
        if let spare {
            self.spare = nil
            return spare
        }
        let radius = (-2 * log(uniform())).squareRoot()
        let angle = 2 * Double.pi * uniform()
        spare = radius * sin(angle)
        return radius * cos(angle)
    }

    /// Above 0, at most 1.
    private mutating func uniform() -> Double { Double((bits.next() >> 11) + 1) * 0x1p-53 }
}
