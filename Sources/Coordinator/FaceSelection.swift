import FaceModel

/// Which faces of a photo are enrolled: those that pass the filter; beyond `maxFaces` the lowest quality goes first,
/// then the smallest. Both lists are ordered by box size, largest first.
struct FaceSelection {
    var chosen: [ExtractedFace]
    var passedOver: [IndexFacesAnswer.Unindexed]

    init(_ image: ExtractedImage, filter: QualityFilter, maxFaces: Int?) {
        let floor = QualityFloor(filter)
        var passing: [(offset: Int, face: ExtractedFace)] = []
        var dropped: [(offset: Int, unindexed: IndexFacesAnswer.Unindexed)] = []
        for (offset, face) in image.faces.enumerated() {
            let reasons = floor.reasons(against: face.detail, width: image.width, height: image.height)
            if reasons.isEmpty {
                passing.append((offset, face))
            } else {
                dropped.append((offset, .init(detail: face.detail, reasons: reasons)))
            }
        }
        if let maxFaces, passing.count > maxFaces {
            passing.sort { Self.better($0.face.detail, $1.face.detail) }
            for (offset, face) in passing.dropFirst(maxFaces) {
                dropped.append((offset, .init(detail: face.detail, reasons: [.exceedsMaxFaces])))
            }
            passing = Array(passing.prefix(maxFaces))
        }
        chosen = passing.sorted { $0.offset < $1.offset }.map(\.face)
        passedOver = dropped.sorted { $0.offset < $1.offset }.map(\.unindexed)
    }

    private static func better(_ a: FaceDetail, _ b: FaceDetail) -> Bool {
        let (qa, qb) = (quality(a), quality(b))
        return qa != qb ? qa > qb : a.box.area > b.box.area
    }

    /// Ten steps, so that size decides between faces of about the same quality.
    private static func quality(_ detail: FaceDetail) -> Int {
        Int((detail.quality.sharpness + detail.confidence) / 20)
    }
}

/// What a face must reach to be enrolled or searched under each filter. AUTO is LOW: it keeps out what cannot be
/// matched (blurred beyond recognition, nearly dark, profile, a few pixels wide) and nothing else.
struct QualityFloor {
    private var confidence: Float
    private var brightness: Float
    private var sharpness: Float
    private var sidePixels: Float
    private var turnDegrees: Float
    private let active: Bool

    init(_ filter: QualityFilter) {
        active = filter != .none
        switch filter {
        case .none, .auto, .low:
            (confidence, brightness, sharpness, sidePixels, turnDegrees) = (60, 8, 2, 24, 80)
        case .medium:
            (confidence, brightness, sharpness, sidePixels, turnDegrees) = (75, 15, 8, 40, 60)
        case .high:
            (confidence, brightness, sharpness, sidePixels, turnDegrees) = (85, 25, 15, 64, 40)
        }
    }

    func reasons(against detail: FaceDetail, width: Int, height: Int) -> [UnindexedReason] {
        guard active else { return [] }
        var reasons: [UnindexedReason] = []
        if max(abs(detail.pose.yaw), abs(detail.pose.pitch)) > turnDegrees { reasons.append(.extremePose) }
        if detail.quality.brightness < brightness { reasons.append(.lowBrightness) }
        if detail.quality.sharpness < sharpness { reasons.append(.lowSharpness) }
        if detail.confidence < confidence { reasons.append(.lowConfidence) }
        let side = min(detail.box.width * Float(width), detail.box.height * Float(height))
        if side < sidePixels { reasons.append(.smallBoundingBox) }
        return reasons
    }
}
