import FaceModel
import VectorSearch

/// SplitMix64: seeded, so that a failure repeats.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// Close enough to normal: the sum of twelve uniforms.
    mutating func normal() -> Double {
        (0..<12).reduce(-6.0) { sum, _ in sum + Double.random(in: 0..<1, using: &self) }
    }

    mutating func embedding(_ dimension: Int, length: Double = 1) -> Embedding {
        Embedding((0..<dimension).map { _ in Float(normal() * length) })
    }

    mutating func face() -> FaceID { FaceID(.random(using: &self)) }
}

func cosine(_ a: [Float], _ b: [Float]) -> Double {
    var (dot, aa, bb) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
        dot += Double(x) * Double(y)
        aa += Double(x) * Double(x)
        bb += Double(y) * Double(y)
    }
    return dot / (aa * bb).squareRoot()
}

/// Random directions as a rotation gives them.
func vectors(_ count: Int, _ dimension: Int, seed: UInt64) throws -> [RotatedVector] {
    var generator = Seeded(seed)
    let rotation = try Rotation(dimension: dimension, seed: generator.bytes(32))
    return try (0..<count).map { _ in try rotation.rotate(generator.embedding(dimension)) }
}

func squaredLength(_ vector: RotatedVector) -> Double {
    vector.values.reduce(0.0) { $0 + Double($1) * Double($1) }
}
