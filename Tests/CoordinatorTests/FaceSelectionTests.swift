import FaceModel
import Testing

@testable import Coordinator

@Suite struct FaceSelectionTests {
    private func face(_ size: Float, confidence: Float = 99, sharpness: Float = 50, yaw: Float = 0) -> ExtractedFace {
        ExtractedFace(
            detail: FaceDetail(
                box: BoundingBox(left: 0, top: 0, width: size, height: size), landmarks: [], confidence: confidence,
                quality: FaceQuality(brightness: 50, sharpness: sharpness), pose: FacePose(roll: 0, yaw: yaw, pitch: 0)),
            embedding: Embedding([]))
    }

    private func select(
        _ faces: [ExtractedFace], _ filter: QualityFilter, max: Int? = nil
    ) -> (kept: [Float], dropped: [[UnindexedReason]]) {
        let image = ExtractedImage(width: 1_000, height: 1_000, faces: faces)
        let selection = FaceSelection(image, filter: filter, maxFaces: max)
        return (selection.chosen.map(\.detail.box.width), selection.passedOver.map(\.reasons))
    }

    @Test func withoutAFilterEveryFaceIsTaken() {
        #expect(select([face(0.2), face(0.01, confidence: 1, sharpness: 0, yaw: 89)], .none).kept == [0.2, 0.01])
    }

    @Test func eachReasonIsGiven() {
        let bad = [
            face(0.2, yaw: 85), face(0.2, sharpness: 0), face(0.2, confidence: 10), face(0.01),
        ]
        #expect(
            select(bad, .auto).dropped == [[.extremePose], [.lowSharpness], [.lowConfidence], [.smallBoundingBox]])
    }

    @Test func filtersGrowStricter() {
        let faces = [face(0.3), face(0.2, confidence: 80, sharpness: 10), face(0.1, confidence: 65, sharpness: 3)]
        #expect([QualityFilter.auto, .low, .medium, .high].map { select(faces, $0).kept.count } == [3, 3, 2, 1])
    }

    @Test func beyondTheMaximumTheLowestQualityGoesFirstThenTheSmallest() {
        let faces = [face(0.4, sharpness: 5), face(0.3), face(0.2), face(0.1)]
        let two = select(faces, .none, max: 2)
        #expect(two.kept == [0.3, 0.2])
        #expect(two.dropped == [[.exceedsMaxFaces], [.exceedsMaxFaces]])
    }
}
