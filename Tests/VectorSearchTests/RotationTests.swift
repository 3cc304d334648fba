import FaceModel
import Testing

@testable import VectorSearch

private let dimensions = [
    64, 72, 96, 120, 128, 136, 248, 256, 264, 504, 512, 520, 768, 1_000, 1_024, 1_536, 2_040, 2_048,
]

@Test private func theKeyStreamIsChaCha20() {
    // RFC 8439, A.1, test vectors 1 and 2: key and nonce zero, blocks 0 and 1.
    var stream = KeyStream(key: [UInt8](repeating: 0, count: 32), nonce: [UInt8](repeating: 0, count: 12))
    let words = (0..<32).map { _ in stream.next32() }
    #expect(words[0..<4] == [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653])
    #expect(words[16..<20] == [0xbee7_079f, 0x7a38_5155, 0x7c97_ba98, 0x0d08_2d73])
}

@Test private func drawsBelowABoundAreUniform() {
    var stream = KeyStream(key: Array(0..<32), nonce: Array("facet-rotate".utf8))
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[Int(stream.next(below: 7))] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })
    #expect((0..<100).allSatisfy { _ in stream.next(below: 1) == 0 })
}

@Test(arguments: dimensions) private func innerProductsAndLengthsAreKept(_ dimension: Int) throws {
    var generator = Seeded(UInt64(dimension))
    let rotation = try Rotation(dimension: dimension, seed: generator.bytes(32))
    let embeddings = (0..<6).map { _ in generator.embedding(dimension, length: 3) }
    let rotated = try embeddings.map { try rotation.rotate($0) }
    for (a, ra) in zip(embeddings, rotated) {
        #expect(abs(ra.values.reduce(0.0) { $0 + Double($1) * Double($1) } - 1) < 1e-6)
        for (b, rb) in zip(embeddings, rotated) {
            let dot = zip(ra.values, rb.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            #expect(abs(dot - cosine(a.values, b.values)) < 1e-6)
        }
    }
}

@Test(arguments: dimensions) private func unrotateUndoesRotate(_ dimension: Int) throws {
    var generator = Seeded(UInt64(dimension) + 1)
    let rotation = try Rotation(dimension: dimension, seed: generator.bytes(32))
    let embedding = generator.embedding(dimension, length: 0.01)
    let norm = embedding.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    let back = rotation.unrotate(try rotation.rotate(embedding))
    for (a, b) in zip(embedding.values, back.values) { #expect(abs(Double(a) / norm - Double(b)) < 1e-6) }
}

@Test(arguments: [64, 128, 136, 512]) private func twoSeedsMakeStrangersOfOneFace(_ dimension: Int) throws {
    var generator = Seeded(UInt64(dimension) + 2)
    var squares = 0.0
    var lookups = 0.0
    let pairs = 400
    for _ in 0..<pairs {
        let embedding = generator.embedding(dimension)
        let one = try Rotation(dimension: dimension, seed: generator.bytes(32)).rotate(embedding)
        let other = try Rotation(dimension: dimension, seed: generator.bytes(32)).rotate(embedding)
        let between = cosine(one.values, other.values)
        squares += between * between
        lookups = max(lookups, abs(between))
    }
    // Independent directions: variance 1 / dimension, and no pair anywhere near a match.
    let ratio = squares / Double(pairs) * Double(dimension)
    #expect(ratio > 0.75 && ratio < 1.3, "variance against strangers' \(ratio)")
    #expect(lookups < 5.5 / Double(dimension).squareRoot())
}

@Test(arguments: dimensions) private func anAxisIsSpreadOverAllComponents(_ dimension: Int) throws {
    var generator = Seeded(UInt64(dimension) + 3)
    let rotation = try Rotation(dimension: dimension, seed: generator.bytes(32))
    for axis in [0, dimension / 2, dimension - 1] {
        var values = [Float](repeating: 0, count: dimension)
        values[axis] = 1
        let rotated = try rotation.rotate(Embedding(values))
        // A random unit vector's largest component stays below 6 / sqrt(dimension) all but never.
        #expect(rotated.values.allSatisfy { abs($0) < 6 / Float(dimension).squareRoot() })
    }
}

@Test private func theSameSeedGivesTheSameBits() throws {
    let embedding = Embedding((0..<72).map { Float($0 * $0 % 31) - 15.25 })
    let rotation = try Rotation(dimension: 72, seed: Array(0..<32))
    let rotated = try rotation.rotate(embedding)
    #expect(try rotated == Rotation(dimension: 72, seed: Array(0..<32)).rotate(embedding))
    // Golden bits: stored vectors depend on them, so a change here is a change of format.
    #expect(rotated.values.prefix(8).map(\.bitPattern) == goldenHead)
    let digest = rotated.values.reduce(UInt64(0xCBF2_9CE4_8422_2325)) {
        ($0 ^ UInt64($1.bitPattern)) &* 0x100_0000_01B3
    }
    #expect(digest == goldenDigest)
}

private let goldenHead: [UInt32] = [
    3_172_292_942, 1_040_440_296, 1_041_347_109, 3_176_824_764, 1_044_598_422, 1_022_904_921, 3_195_833_355,
    1_037_355_280,
]
private let goldenDigest: UInt64 = 11_427_841_003_603_836_763

@Test private func vectorsThatAreNoneAreRefused() throws {
    let rotation = try Rotation(dimension: 64, seed: [UInt8](repeating: 1, count: 32))
    var values = [Float](repeating: 0.5, count: 64)
    #expect(throws: VectorError.dimensionMismatch(expected: 64, got: 72)) {
        try rotation.rotate(Embedding([Float](repeating: 1, count: 72)))
    }
    #expect(throws: VectorError.dimensionOutOfRange(0)) { try rotation.rotate(Embedding([])) }
    #expect(throws: VectorError.dimensionNotMultipleOf8(65)) {
        try rotation.rotate(Embedding([Float](repeating: 1, count: 65)))
    }
    #expect(throws: VectorError.dimensionOutOfRange(2_056)) { try Rotation(dimension: 2_056, seed: []) }
    for bad in [Float.nan, .infinity, -.infinity, .signalingNaN] {
        values[17] = bad
        #expect(throws: VectorError.notFinite(component: 17)) { try rotation.rotate(Embedding(values)) }
    }
    for small in [Float(0), -0.0, .leastNonzeroMagnitude, 1e-7] {
        #expect(throws: VectorError.normTooSmall) {
            try rotation.rotate(Embedding([Float](repeating: small, count: 64)))
        }
    }
    let huge = try rotation.rotate(Embedding([Float](repeating: .greatestFiniteMagnitude, count: 64)))
    let one = try rotation.rotate(Embedding([Float](repeating: 1, count: 64)))
    #expect(zip(huge.values, one.values).allSatisfy { abs($0 - $1) < 1e-6 })
}
