import FaceModel
import Testing

@testable import VectorSearch

@Suite struct AnchorTests {
    /// Golden bits: where faces are stored depends on them, so a change here is a change of format.
    @Test func theSameSeedGivesTheSameBits() {
        let anchors = Anchors(count: 5, dimension: 72, seed: Array(0..<32))
        #expect(anchors.rows.count == 5 * 72)
        #expect(anchors.rows.prefix(8).map(\.bitPattern) == goldenHead)
        let digest = anchors.rows.reduce(UInt64(0xCBF2_9CE4_8422_2325)) {
            ($0 ^ UInt64($1.bitPattern)) &* 0x100_0000_01B3
        }
        #expect(digest == goldenDigest)
        // More anchors begin with the same ones.
        #expect(Anchors(count: 9, dimension: 72, seed: Array(0..<32)).rows.starts(with: anchors.rows))
        #expect(Anchors(count: 5, dimension: 72, seed: Array(1..<33)).rows != anchors.rows)
    }

    @Test(arguments: [64, 512, 2_048]) func anchorsAreUnitVectorsFarFromEachOther(_ dimension: Int) {
        let rows = Anchors(count: 32, dimension: dimension, seed: Array(7..<39)).rows
        let anchors = stride(from: 0, to: rows.count, by: dimension).map { Array(rows[$0..<$0 + dimension]) }
        for (index, anchor) in anchors.enumerated() {
            let square = anchor.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(abs(square - 1) < 1e-6)
            for other in anchors[..<index] {
                #expect(abs(cosine(anchor, other)) < 5.5 / Double(dimension).squareRoot())
            }
        }
    }

    @Test(arguments: [2, 4, 8, 64]) func randomFacesAreSpreadEvenly(_ count: Int) throws {
        let anchors = Anchors(count: count, dimension: 128, seed: Array(100..<132))
        var faces = [Int](repeating: 0, count: count)
        let total = 20_000
        for vector in try vectors(total, 128, seed: 5) { faces[anchors.home(of: vector)] += 1 }
        let fair = Double(total) / Double(count)
        #expect(faces.allSatisfy { Double($0) > fair * 0.5 && Double($0) < fair * 1.7 }, "\(faces)")
    }

    @Test func homeIsTheFirstOfTheBestExactScores() throws {
        let anchors = Anchors(count: 16, dimension: 64, seed: Array(0..<32))
        let rows = stride(from: 0, to: anchors.rows.count, by: 64).map {
            RotatedVector(rotated: Array(anchors.rows[$0..<$0 + 64]))
        }
        for vector in try vectors(500, 64, seed: 6) {
            let scores = rows.map { exactScore(PreparedQuery(vector), $0) }
            #expect(scores.firstIndex(of: scores.max() ?? 0) == anchors.home(of: vector))
        }
        for (index, row) in rows.enumerated() { #expect(anchors.home(of: row) == index) }
        // Every score is 0: all are equal.
        #expect(anchors.home(of: RotatedVector(rotated: [Float](repeating: 0, count: 64))) == 0)
    }

    @Test func aSingleAnchorIsEverybodysHome() throws {
        let anchors = Anchors(count: 1, dimension: 64, seed: Array(0..<32))
        #expect(anchors.rows.isEmpty)
        #expect(try vectors(20, 64, seed: 7).allSatisfy { anchors.home(of: $0) == 0 })
    }
}

private let goldenHead: [UInt32] = [
    3_179_452_589, 3_191_184_188, 3_192_779_839, 990_926_099, 3_158_818_662, 3_192_587_512, 1_030_906_417,
    3_188_788_003,
]
private let goldenDigest: UInt64 = 12_973_221_854_491_805_852
