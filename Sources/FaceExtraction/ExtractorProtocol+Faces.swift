import FaceModel

/// The payload of a `faces` message after its id.
extension ExtractorProtocol {
    private static let landmarkCount = 5

    static func write(_ image: ExtractedImage, to payload: inout WireWriter) {
        precondition(image.faces.count <= Limits.facesPerImage)
        let dimension = image.faces.first?.embedding.dimension ?? 0
        for value in [image.width, image.height, image.faces.count, dimension] { payload.integer(UInt32(value)) }
        for face in image.faces {
            precondition(face.embedding.dimension == dimension && face.detail.landmarks.count == landmarkCount)
            for value in values(of: face.detail) + face.embedding.values { payload.float(value) }
        }
    }

    static func readImage(_ reader: inout WireReader) throws(FaceExtractionError) -> ExtractedImage {
        let width = Int(try reader.integer(UInt32.self))
        let height = Int(try reader.integer(UInt32.self))
        let count = Int(try reader.integer(UInt32.self))
        let dimension = Int(try reader.integer(UInt32.self))
        let sides = 1...Limits.imageSidePixelsMax
        guard sides.contains(width), sides.contains(height), count <= Limits.facesPerImage,
            count == 0 ? dimension == 0 : Limits.dimensionRange.contains(dimension)
        else { throw .message(problem: "has faces out of range") }
        var faces: [ExtractedFace] = []
        for _ in 0..<count {
            let detail = try readDetail(&reader)
            var values: [Float] = []
            values.reserveCapacity(dimension)
            for _ in 0..<dimension { values.append(try reader.float()) }
            faces.append(ExtractedFace(detail: detail, embedding: Embedding(values)))
        }
        return ExtractedImage(width: width, height: height, faces: faces)
    }

    private static func values(of detail: FaceDetail) -> [Float] {
        [detail.box.left, detail.box.top, detail.box.width, detail.box.height]
            + detail.landmarks.flatMap { [$0.x, $0.y] }
            + [
                detail.confidence, detail.quality.brightness, detail.quality.sharpness, detail.pose.roll,
                detail.pose.yaw, detail.pose.pitch,
            ]
    }

    private static func readDetail(_ reader: inout WireReader) throws(FaceExtractionError) -> FaceDetail {
        let box = BoundingBox(
            left: try reader.float(), top: try reader.float(), width: try reader.float(), height: try reader.float())
        var landmarks: [Landmark] = []
        for _ in 0..<landmarkCount { landmarks.append(Landmark(x: try reader.float(), y: try reader.float())) }
        let confidence = try reader.float()
        let quality = FaceQuality(brightness: try reader.float(), sharpness: try reader.float())
        let pose = FacePose(roll: try reader.float(), yaw: try reader.float(), pitch: try reader.float())
        let percent: ClosedRange<Float> = 0...100
        guard box.width > 0, box.height > 0, percent.contains(confidence), percent.contains(quality.brightness),
            percent.contains(quality.sharpness)
        else { throw .message(problem: "has a face out of range") }
        return FaceDetail(box: box, landmarks: landmarks, confidence: confidence, quality: quality, pose: pose)
    }
}
