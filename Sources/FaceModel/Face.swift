/// Position and size as ratios of the upright image; may leave 0...1 where a face is cut by the border.
package struct BoundingBox: Hashable, Sendable {
    package var left: Float
    package var top: Float
    package var width: Float
    package var height: Float

    package init(left: Float, top: Float, width: Float, height: Float) {
        self.left = left
        self.top = top
        self.width = width
        self.height = height
    }

    package var area: Float { width * height }
}

/// A landmark's position as ratios of the upright image.
package struct Landmark: Hashable, Sendable {
    package var x: Float
    package var y: Float
    package init(x: Float, y: Float) {
        self.x = x
        self.y = y
    }
}

/// Brightness and sharpness of the face's pixels, 0...100 each.
package struct FaceQuality: Hashable, Sendable {
    package var brightness: Float
    package var sharpness: Float
    package init(brightness: Float, sharpness: Float) {
        self.brightness = brightness
        self.sharpness = sharpness
    }
}

/// Degrees, -180...180, estimated from the five landmarks.
package struct FacePose: Hashable, Sendable {
    package var roll: Float
    package var yaw: Float
    package var pitch: Float
    package init(roll: Float, yaw: Float, pitch: Float) {
        self.roll = roll
        self.yaw = yaw
        self.pitch = pitch
    }
}

/// What the detector says of one face in an image.
package struct FaceDetail: Hashable, Sendable {
    package var box: BoundingBox
    /// Left eye, right eye, nose, left mouth corner, right mouth corner, as seen by the viewer.
    package var landmarks: [Landmark]
    /// That the box holds a face, 0...100; never who it is.
    package var confidence: Float
    package var quality: FaceQuality
    package var pose: FacePose

    package init(
        box: BoundingBox, landmarks: [Landmark], confidence: Float, quality: FaceQuality, pose: FacePose
    ) {
        self.box = box
        self.landmarks = landmarks
        self.confidence = confidence
        self.quality = quality
        self.pose = pose
    }
}

/// A model's output or a client's vector, not yet checked, normalised or rotated.
package struct Embedding: Hashable, Sendable {
    package var values: [Float]
    package init(_ values: [Float]) { self.values = values }
    package var dimension: Int { values.count }
}

/// A unit vector under the collection's secret rotation: the only form that is logged, stored or scored.
/// Made by `VectorSearch.Rotation` alone, or read back from where it was stored.
package struct RotatedVector: Hashable, Sendable {
    package let values: [Float]
    package init(rotated values: [Float]) { self.values = values }
    package var dimension: Int { values.count }
}

/// What is kept of a face beside its vector and its names; `detail` is missing for faces enrolled as bare vectors.
package struct FaceRecord: Hashable, Sendable {
    package var imageID: ImageID?
    package var detail: FaceDetail?
    package init(imageID: ImageID?, detail: FaceDetail?) {
        self.imageID = imageID
        self.detail = detail
    }
}

/// One scored face. Order of a candidate list: higher score first, equal scores by the smaller FaceID.
package struct Match: Hashable, Sendable {
    package var face: FaceID
    /// Cosine of the two unit vectors, exact as search.md's Determinism defines it.
    package var score: Float
    package init(face: FaceID, score: Float) {
        self.face = face
        self.score = score
    }

    package static func precedes(_ a: Match, _ b: Match) -> Bool {
        a.score != b.score ? a.score > b.score : a.face < b.face
    }
}
