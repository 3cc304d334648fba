import CFaceExtraction
import FaceModel
import Foundation

/// The models in memory, behind the C shim. Used by one thread; nothing of it is Sendable.
final class ExtractionEngine {
    private let engine: OpaquePointer
    private let dimension: Int
    private var faces: [facet_face]
    private var embeddings: [Float]

    init(directory: ModelDirectory, library: String) throws(FaceExtractionError) {
        let detector = [UInt8](try directory.detectorWeights())
        let embedder = [UInt8](try directory.embedderWeights())
        var model = Self.model(directory.manifest)
        var made: OpaquePointer?
        var error = facet_error()
        let code = facet_engine_create(
            library, detector, detector.count, embedder, embedder.count, &model, &made, &error)
        guard code == FACET_OK, let made else { throw .engine(library: library, problem: error.text) }
        engine = made
        dimension = directory.manifest.embedder.dimension
        faces = Array(repeating: facet_face(), count: Limits.facesPerImage)
        embeddings = Array(repeating: 0, count: Limits.facesPerImage * dimension)
    }

    deinit { facet_engine_destroy(engine) }

    func extract(image: [UInt8], scope: ExtractionScope) throws(ExtractionError) -> ExtractedImage {
        var limits = facet_image_limits.facet
        var found = facet_image()
        var error = facet_error()
        let wanted = scope == .largestFace ? 1 : Limits.facesPerImage
        let code = facet_engine_extract(
            engine, image, image.count, &limits, Int32(wanted), &found, &faces, &embeddings, &error)
        try error.check(code)
        let count = min(wanted, Int(found.count))
        return ExtractedImage(
            width: Int(found.width), height: Int(found.height),
            faces: (0..<count).map { index in
                let row = embeddings[index * dimension..<(index + 1) * dimension]
                return ExtractedFace(detail: FaceDetail(faces[index], in: found), embedding: Embedding(Array(row)))
            })
    }

    private static func model(_ manifest: ModelManifest) -> facet_model {
        var model = facet_model()
        model.detector_side = Int32(manifest.detector.longestSide)
        model.detector_enlarge_max = Float(manifest.detector.enlargeMax)
        model.detector_score_min = Float(manifest.detector.scoreMin)
        model.detector_overlap_max = Float(manifest.detector.overlapMax)
        model.embedder_side = Int32(manifest.embedder.inputSide)
        model.dimension = Int32(manifest.embedder.dimension)
        model.colour_order = Int32(manifest.embedder.colourOrder == .rgb ? FACET_COLOUR_RGB : FACET_COLOUR_BGR)
        model.scale = Float(manifest.embedder.scale)
        let mean = manifest.embedder.mean.map { Float($0) }
        let points = manifest.embedder.template.flatMap { $0 }.map { Float($0) }
        withUnsafeMutableBytes(of: &model.mean) { $0.copyBytes(from: mean.withUnsafeBytes { Array($0) }) }
        withUnsafeMutableBytes(of: &model.template_points) { $0.copyBytes(from: points.withUnsafeBytes { Array($0) }) }
        return model
    }
}

extension facet_image_limits {
    static var facet: facet_image_limits {
        facet_image_limits(
            side_max: Int32(Limits.imageSidePixelsMax), pixels_max: Int64(Limits.imagePixelsMax),
            faces_max: Int32(Limits.facesPerImage))
    }
}

extension facet_error {
    var text: String {
        withUnsafeBytes(of: message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// Every code of the shim as an error of the port.
    func check(_ code: Int32) throws(ExtractionError) {
        switch Int(code) {
        case FACET_OK: return
        case FACET_TOO_LARGE: throw .tooLarge(reason: text)
        case FACET_UNDECODABLE: throw .undecodable(reason: text)
        default: throw .unavailable(reason: text)
        }
    }
}

extension FaceDetail {
    fileprivate init(_ face: facet_face, in image: facet_image) {
        let width = Float(image.width)
        let height = Float(image.height)
        let points = withUnsafeBytes(of: face.landmarks) { Array($0.bindMemory(to: Float.self)) }
        self.init(
            box: BoundingBox(
                left: face.left / width, top: face.top / height, width: face.width / width,
                height: face.height / height),
            landmarks: (0..<Int(FACET_LANDMARKS)).map {
                Landmark(x: points[2 * $0] / width, y: points[2 * $0 + 1] / height)
            },
            confidence: face.score * 100,
            quality: FaceQuality(brightness: face.brightness, sharpness: face.sharpness),
            pose: FacePose(roll: face.roll, yaw: face.yaw, pitch: face.pitch))
    }
}
