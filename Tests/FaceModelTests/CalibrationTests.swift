import FaceModel
import Testing

@Suite struct CalibrationTests {
    private func point(_ similarity: Double, _ cosine: Double, _ rate: Double) -> SimilarityCalibration.Point {
        .init(
            similarity: similarity, cosine: cosine, cosineLow: cosine, cosineHigh: cosine, falseMatchRate: rate,
            extrapolated: false)
    }

    private var calibration: SimilarityCalibration {
        get throws {
            try #require(
                SimilarityCalibration(points: [
                    point(80, 0.36, 1e-3), point(90, 0.415, 1e-4), point(95, 0.47, 1e-5), point(99, 0.525, 1e-6),
                ]))
        }
    }

    @Test func thePointsAreMet() throws {
        let calibration = try calibration
        for (similarity, cosine) in [(80.0, Float(0.36)), (90, 0.415), (95, 0.47), (99, 0.525), (100, 1)] {
            #expect(abs(calibration.similarity(cosine: cosine) - similarity) < 1e-4)
            #expect(abs(calibration.cosine(similarity: similarity) - cosine) < 1e-6)
        }
        #expect(calibration.similarity(cosine: -0.5) == 0)
        #expect(calibration.cosine(similarity: 0) == -1)
    }

    @Test func similarityRisesWithCosine() throws {
        let calibration = try calibration
        let values = stride(from: Float(-1), through: 1, by: 0.001).map { calibration.similarity(cosine: $0) }
        #expect(zip(values, values.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(values.allSatisfy { (0...100).contains($0) })
    }

    @Test func strangersAreExpectedAsTheRatesSay() throws {
        let calibration = try calibration
        #expect(abs(calibration.expectedStrangers(faces: 10_000_000, similarity: 80) - 10_000) < 1e-6)
        #expect(abs(calibration.expectedStrangers(faces: 10_000_000, similarity: 99) - 10) < 1e-6)
        #expect(calibration.expectedStrangers(faces: 1_000, similarity: 0) == 1_000)
        #expect(calibration.falseMatchRate(similarity: 85) > 1e-4 && calibration.falseMatchRate(similarity: 85) < 1e-3)
    }

    @Test func pointsThatDoNotRiseAreNoCalibration() {
        #expect(SimilarityCalibration(points: []) == nil)
        #expect(SimilarityCalibration(points: [point(80, 0.4, 1e-3), point(90, 0.3, 1e-4)]) == nil)
        #expect(SimilarityCalibration(points: [point(80, 0.3, 1e-4), point(90, 0.4, 1e-3)]) == nil)
        #expect(SimilarityCalibration(points: [point(100, 0.3, 1e-4)]) == nil)
    }
}
