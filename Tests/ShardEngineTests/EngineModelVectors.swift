import FaceModel
import SimulatedDisk
import VectorSearch

/// Vectors of one collection, as a client without the rotation's key may choose them: faces, near and equal ones,
/// crowds around few directions, and shapes that are as far from faces as can be.
struct EngineModelVectors {
    enum Shape: CaseIterable {
        case oneHot, twoLevel, allEqual, alternating, firstHalf, secondHalf, tinyAndHuge, denormal, corners
    }

    let dimension: Int
    private let rotation: Rotation
    /// Directions that crowds stand around.
    private let crowds: [[Float]]
    private let crowdCosine: Double

    init(dimension: Int, crowds: Int, using random: inout SplitMix) throws {
        self.dimension = dimension
        let seed = (0..<Rotation.seedBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        rotation = try Rotation(dimension: dimension, seed: seed)
        self.crowds = (0..<crowds).map { _ in Self.direction(dimension, &random) }
        crowdCosine = [0.5, 0.9, 0.99, 0.9999][Int.random(in: 0..<4, using: &random)]
    }

    /// One to enrol; `known` are those that are enrolled.
    func face(_ known: EngineModel, using random: inout SplitMix) throws -> RotatedVector {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<2: return try shaped(using: &random)
        case 2..<4: return pick(known, &random) ?? stranger(&random)
        case 4..<7: return near(pick(known, &random) ?? stranger(&random), cosine: cosine(&random), &random)
        case 7: return try pick(known, &random).map { try oneBitOff($0, &random) } ?? stranger(&random)
        case 8..<16 where !crowds.isEmpty:
            let centre = crowds[Int.random(in: 0..<crowds.count, using: &random)]
            return near(RotatedVector(rotated: centre), cosine: crowdCosine, &random)
        default: return stranger(&random)
        }
    }

    func probe(_ known: EngineModel, using random: inout SplitMix) throws -> RotatedVector {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<2: return pick(known, &random) ?? stranger(&random)
        case 2..<6: return near(pick(known, &random) ?? stranger(&random), cosine: cosine(&random), &random)
        case 6: return try pick(known, &random).map { try flipped($0, &random) } ?? stranger(&random)
        case 7: return try shaped(using: &random)
        default: return stranger(&random)
        }
    }

    func stranger(_ random: inout SplitMix) -> RotatedVector {
        RotatedVector(rotated: Self.direction(dimension, &random))
    }

    /// A client's vector of a chosen shape, rotated as the product does it.
    func shaped(using random: inout SplitMix) throws -> RotatedVector {
        let shape = Shape.allCases[Int.random(in: 0..<Shape.allCases.count, using: &random)]
        return try rotation.rotate(Embedding(shape.vector(dimension, &random)))
    }

    /// The client's vector with the signs of some components turned.
    private func flipped(_ vector: RotatedVector, _ random: inout SplitMix) throws -> RotatedVector {
        var values = rotation.unrotate(vector).values
        let share = [2, 8, 64][Int.random(in: 0..<3, using: &random)]
        for at in values.indices where Int.random(in: 0..<share, using: &random) == 0 { values[at] = -values[at] }
        return try rotation.rotate(Embedding(values))
    }

    /// Equal but for one bit of one component.
    private func oneBitOff(_ vector: RotatedVector, _ random: inout SplitMix) throws -> RotatedVector {
        var values = vector.values
        let at = Int.random(in: 0..<dimension, using: &random)
        values[at] = Float(bitPattern: values[at].bitPattern ^ 1)
        return RotatedVector(rotated: values)
    }

    private func pick(_ known: EngineModel, _ random: inout SplitMix) -> RotatedVector? {
        known.count == 0 ? nil : known.vector(Int.random(in: 0..<known.count, using: &random))
    }

    private func cosine(_ random: inout SplitMix) -> Double {
        Int.random(in: 0..<4, using: &random) == 0 ? 0.999_999 : Double.random(in: 0.2...0.99, using: &random)
    }

    private func near(_ vector: RotatedVector, cosine: Double, _ random: inout SplitMix) -> RotatedVector {
        let other = Self.direction(dimension, &random)
        let along = zip(vector.values, other).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let sine = max(0, 1 - cosine * cosine).squareRoot() / max(1e-9, 1 - along * along).squareRoot()
        let mixed = zip(vector.values, other).map { (cosine - sine * along) * Double($0) + sine * Double($1) }
        return RotatedVector(rotated: Self.unit(mixed))
    }

    /// Components are sums of four uniform numbers, near enough to normal; cheap, for there are millions.
    private static func direction(_ dimension: Int, _ random: inout SplitMix) -> [Float] {
        unit(
            (0..<dimension).map { _ in
                let bits = random.next()
                return Double(Int64(bits & 0xFFFF) + Int64(bits >> 16 & 0xFFFF) + Int64(bits >> 32 & 0xFFFF))
                    + Double(Int64(bits >> 48)) - 131_070
            })
    }

    private static func unit(_ values: [Double]) -> [Float] {
        let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { Float($0 / norm) }
    }
}

extension EngineModelVectors.Shape {
    fileprivate func vector(_ dimension: Int, _ random: inout SplitMix) -> [Float] {
        let at = Int.random(in: 0..<dimension, using: &random)
        let sign: Float = random.next() & 1 == 0 ? 1 : -1
        switch self {
        case .oneHot: return (0..<dimension).map { $0 == at ? sign : 0 }
        case .twoLevel: return (0..<dimension).map { _ in random.next() & 1 == 0 ? 1 : 0.25 }
        case .allEqual: return (0..<dimension).map { _ in sign }
        case .alternating: return (0..<dimension).map { $0 % 2 == 0 ? sign : -sign }
        case .firstHalf: return (0..<dimension).map { $0 < dimension / 2 ? .random(in: -1...1, using: &random) : 0 }
        case .secondHalf: return (0..<dimension).map { $0 < dimension / 2 ? 0 : .random(in: -1...1, using: &random) }
        case .tinyAndHuge: return (0..<dimension).map { $0 == at ? 1e18 : .random(in: -1...1, using: &random) }
        case .denormal: return (0..<dimension).map { $0 == at ? sign : .leastNonzeroMagnitude * Float($0) }
        case .corners:
            // Every component where two cells of the code meet.
            return (0..<dimension).map { _ in 0.34 * Float(Int.random(in: -7...7, using: &random)) + 1e-3 * sign }
        }
    }
}
