/// One face found in an image, with the vector the model gives it.
package struct ExtractedFace: Sendable {
    package var detail: FaceDetail
    package var embedding: Embedding
    package init(detail: FaceDetail, embedding: Embedding) {
        self.detail = detail
        self.embedding = embedding
    }
}

/// The faces of one image, largest box first, at most `Limits.facesPerImage`.
package struct ExtractedImage: Sendable {
    /// Pixels of the upright image.
    package var width: Int
    package var height: Int
    package var faces: [ExtractedFace]
    package init(width: Int, height: Int, faces: [ExtractedFace]) {
        self.width = width
        self.height = height
        self.faces = faces
    }
}

/// Which faces of the image need an embedding: detection alone is several times cheaper.
package enum ExtractionScope: Hashable, Sendable {
    case allFaces
    case largestFace
}

package enum ExtractionError: Error, Hashable, Sendable {
    /// Not a JPEG or PNG that could be decoded; also an image that killed the extractor.
    case undecodable(reason: String)
    /// More bytes or pixels than `Limits` allows.
    case tooLarge(reason: String)
    /// No extractor process could be had in time; the image may be fine.
    case unavailable(reason: String)
}

/// Finds and embeds faces. The adapter runs a separate process, because images come from strangers.
package protocol FaceExtractor: Sendable {
    var model: FaceModelDescription { get }
    func extract(image: [UInt8], scope: ExtractionScope) async throws(ExtractionError) -> ExtractedImage
}
