import Foundation

/// The two made sets of the design, face-like unit vectors.
///
/// *Hard*: identities `z ~ N(0, S)` on a decaying spectrum whose participation ratio is .62 of the dimension, unit
/// long; images `normalize(z + s e)`, `e ~ N(0, S)`, `s` log-normal around .66 (sigma .18), twice that in 4 % of
/// images; 1 to 4 images an identity. Genuine pairs have cosine .67 +- .08 with a tail to .3, impostors .000 +- .056
/// at 512 dimensions.
///
/// *Soft*: the same with a participation ratio of .25 of the dimension and 64 demographic clusters whose means hold
/// 15 % of the variance; impostors .00 +- .09.
enum FaceSet: String, Sendable {
    case hard, soft

    /// Of the spectrum, in dimensions.
    fileprivate var participation: Double { self == .hard ? 0.62 : 0.25 }
    fileprivate var clusters: Int { self == .hard ? 0 : 64 }
    /// Of the variance of identities, held by the clusters' means.
    fileprivate static let clusterShare: Float = 0.15
}

/// Rows one after another, fresh images of some of their identities, and whose image each is.
struct FaceBlock: Sendable {
    var rows: [Float] = []
    var identities: [Int32] = []
    var probes: [Float] = []
    var probeIdentities: [Int32] = []
}

/// Makes a set in blocks, each drawn from streams of its own: any thread may make any of them, and rows stay what they
/// are however many probes are asked for.
struct FaceGenerator: Sendable {
    static let blockRows = 4_096
    /// A block has 2,048 identities on average; so many it has always.
    static let probesPerBlockMax = 1_024
    private static let images = [1, 1, 1, 2, 2, 3, 4]

    let set: FaceSet
    let dimension: Int
    let seed: UInt64
    private let deviations: [Float]
    private let centres: [[Float]]

    init(_ set: FaceSet, dimension: Int, seed: UInt64 = 1) {
        self.set = set
        self.dimension = dimension
        self.seed = seed
        let deviations = Self.deviations(dimension, participation: set.participation)
        self.deviations = deviations
        var normals = Normals(seed: ~seed)
        centres = (0..<set.clusters).map { _ in deviations.map { $0 * Float(normals.next()) } }
    }

    /// The block and `probes` fresh images of as many of its identities.
    func block(_ number: Int, probes: Int) -> FaceBlock {
        precondition(probes <= Self.probesPerBlockMax, "a block has not so many identities")
        var normals = Normals(seed: seed &* 0x1_0000_0001 &+ UInt64(number))
        var probeNormals = Normals(seed: ~(seed &* 0x1_0000_0001 &+ UInt64(number)))
        var block = FaceBlock()
        block.rows.reserveCapacity(Self.blockRows * dimension)
        let every = Self.probesPerBlockMax / max(1, probes)
        var identity = 0
        while block.identities.count < Self.blockRows {
            let person = unit(person(&normals))
            let name = Int32(number * Self.blockRows + identity)
            if identity.isMultiple(of: every), block.probeIdentities.count < probes {
                block.probes += image(person, &probeNormals)
                block.probeIdentities.append(name)
            }
            let images = Self.images[Int(normals.bits.next() % UInt64(Self.images.count))]
            for _ in 0..<images where block.identities.count < Self.blockRows {
                block.rows += image(person, &normals)
                block.identities.append(name)
            }
            identity += 1
        }
        return block
    }

    private func person(_ normals: inout Normals) -> [Float] {
        guard !centres.isEmpty else { return vector(&normals) }
        let centre = centres[Int(normals.bits.next() % UInt64(centres.count))]
        let (among, within) = (FaceSet.clusterShare.squareRoot(), (1 - FaceSet.clusterShare).squareRoot())
        return zip(centre, vector(&normals)).map { among * $0 + within * $1 }
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
        let length = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return values.map { Float(Double($0) / length) }
    }

    /// Variances (1 + i / (d / 8))^-a, summing to 1, with `a` found by halving.
    private static func deviations(_ dimension: Int, participation: Double) -> [Float] {
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
struct Bits: RandomNumberGenerator, Sendable {
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
struct Normals: Sendable {
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
