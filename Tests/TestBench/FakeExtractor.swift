package import FaceModel
import SimulatedDisk

/// Reads faces out of "images" that are text: one line a face, "seed confidence size".
package struct FakeExtractor: FaceExtractor {
    package static let dimension = 128

    package var model: FaceModelDescription {
        FaceModelDescription(
            name: "fake", version: "1.0", dimension: Self.dimension, digest: [1, 2, 3],
            calibration: SimilarityCalibration(points: [
                .init(
                    similarity: 80, cosine: 0.36, cosineLow: 0.35, cosineHigh: 0.37, falseMatchRate: 1e-3,
                    extrapolated: false),
                .init(
                    similarity: 99, cosine: 0.525, cosineLow: 0.5, cosineHigh: 0.55, falseMatchRate: 1e-6,
                    extrapolated: true),
            ]), scatter: MateScatter(cosineMean: 0.67, cosineDeviation: 0.11))
    }

    package static func image(_ faces: [(seed: Int, confidence: Float, size: Float)]) -> [UInt8] {
        Array(faces.map { "\($0.seed) \($0.confidence) \($0.size)" }.joined(separator: "\n").utf8)
    }

    package func extract(image: [UInt8], scope: ExtractionScope) async throws(ExtractionError) -> ExtractedImage {
        guard image != Array("broken".utf8) else { throw .undecodable(reason: "broken") }
        let lines = String(decoding: image, as: UTF8.self).split(separator: "\n")
        var faces: [ExtractedFace] = []
        for line in lines {
            let fields = line.split(separator: " ").compactMap { Float($0) }
            guard fields.count == 3 else { throw .undecodable(reason: "no face line") }
            faces.append(face(seed: Int(fields[0]), confidence: fields[1], size: fields[2]))
        }
        faces.sort { $0.detail.box.area > $1.detail.box.area }
        return ExtractedImage(width: 1_000, height: 1_000, faces: scope == .allFaces ? faces : Array(faces.prefix(1)))
    }

    private func face(seed: Int, confidence: Float, size: Float) -> ExtractedFace {
        var generator = SplitMix(state: UInt64(seed))
        let detail = FaceDetail(
            box: BoundingBox(left: 0.1, top: 0.1, width: size, height: size), landmarks: [], confidence: confidence,
            quality: FaceQuality(brightness: 50, sharpness: 50), pose: FacePose(roll: 0, yaw: 0, pitch: 0))
        return ExtractedFace(
            detail: detail,
            embedding: Embedding((0..<Self.dimension).map { _ in Float.random(in: -1...1, using: &generator) }))
    }
}
