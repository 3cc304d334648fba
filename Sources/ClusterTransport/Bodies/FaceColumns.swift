import ClusterModel
import FaceModel
import Foundation

extension WireFaces {
    fileprivate static let hasImage: UInt8 = 1
    fileprivate static let hasDetail: UInt8 = 2

    init(_ faces: [StoredFace]) {
        var columns = FaceColumnsWriter(count: faces.count)
        for face in faces { columns.append(face.externalImageID, face.record) }
        self = columns.message
        ids = FieldBytes.ids(faces.lazy.map(\.id))
    }

    init(_ candidates: [ShardCandidate]) {
        var columns = FaceColumnsWriter(count: candidates.count)
        for candidate in candidates { columns.append(candidate.face.externalImageID, candidate.face.record) }
        self = columns.message
        ids = FieldBytes.ids(candidates.lazy.map(\.face.id))
    }

    init(_ faces: [NewFace]) {
        var columns = FaceColumnsWriter(count: faces.count)
        for face in faces { columns.append(face.externalImageID, face.record) }
        self = columns.message
    }

    /// The ids of the faces, at most `max` of them, exactly as many as `count` says.
    func faceIDs(_ field: String, max: Int) throws(BodyError) -> [FaceID] {
        let ids = try Fields.ids(ids, "\(field).ids", max: max, FaceID.self)
        guard ids.count == Int(count) else { throw BodyError("\(field).ids", "\(ids.count) ids of \(count) faces") }
        return ids
    }

    /// The faces, at most `max` of them.
    func stored(_ field: String, max: Int) throws(BodyError) -> [StoredFace] {
        let ids = try faceIDs(field, max: max)
        var columns = try FaceColumnsReader(self, field, max: max)
        var faces: [StoredFace] = []
        faces.reserveCapacity(ids.count)
        for id in ids {
            let name = try columns.nextName()
            faces.append(StoredFace(id: id, externalImageID: name, record: try columns.nextRecord()))
        }
        try columns.end()
        return faces
    }
}

/// Collects names and records in columns.
private struct FaceColumnsWriter {
    private let count: Int
    private var names: [UInt8] = []
    private var hasNames = false
    private var parts: [UInt8] = []
    private var hasParts = false
    private var images: [ImageID] = []
    private var details = Data()

    init(count: Int) {
        self.count = count
        names.reserveCapacity(count * 32)
        parts.reserveCapacity(count)
    }

    mutating func append(_ name: ExternalImageID?, _ record: FaceRecord) {
        if let name {
            names.append(UInt8(name.text.utf8.count))
            names.append(contentsOf: name.text.utf8)
            hasNames = true
        } else {
            names.append(0)
        }
        var part: UInt8 = 0
        if let image = record.imageID {
            part |= WireFaces.hasImage
            images.append(image)
        }
        if let detail = record.detail {
            part |= WireFaces.hasDetail
            append(detail)
        }
        hasParts = hasParts || part != 0
        parts.append(part)
    }

    private mutating func append(_ detail: FaceDetail) {
        precondition(detail.landmarks.count <= TransportLimits.landmarksMax, "a face has few landmarks")
        details.append(UInt8(detail.landmarks.count))
        var values = [detail.box.left, detail.box.top, detail.box.width, detail.box.height]
        values.reserveCapacity(FaceColumnsReader.detailFloats + 2 * detail.landmarks.count)
        for landmark in detail.landmarks {
            values.append(landmark.x)
            values.append(landmark.y)
        }
        values += [
            detail.confidence, detail.quality.brightness, detail.quality.sharpness, detail.pose.roll, detail.pose.yaw,
            detail.pose.pitch,
        ]
        FieldBytes.append(values, to: &details)
    }

    var message: WireFaces {
        var message = WireFaces()
        message.count = UInt32(count)
        if hasNames { message.externalImageIds = Data(names) }
        if hasParts {
            message.parts = Data(parts)
            message.imageIds = FieldBytes.ids(images)
            message.details = details
        }
        return message
    }
}

/// Reads names and records of one face after another.
struct FaceColumnsReader {
    /// Floats of a detail beside its landmarks.
    static let detailFloats = 10

    let count: Int
    private let field: String
    private let names: [UInt8]
    private var nextNameByte = 0
    private let parts: [UInt8]
    private let images: [ImageID]
    private var nextImage = 0
    private var details: Data
    private var face = 0

    init(_ faces: WireFaces, _ field: String, max: Int) throws(BodyError) {
        self.field = field
        count = try Fields.limit(faces.count, "\(field).count", 0...max)
        names = Array(faces.externalImageIds)
        parts = Array(faces.parts)
        guard parts.isEmpty || parts.count == count else {
            throw BodyError("\(field).parts", "\(parts.count) of \(count) faces")
        }
        images = try Fields.ids(faces.imageIds, "\(field).image_ids", max: count, ImageID.self)
        details = faces.details[...]
    }

    mutating func nextName() throws(BodyError) -> ExternalImageID? {
        if names.isEmpty { return nil }
        guard nextNameByte < names.count, nextNameByte + Int(names[nextNameByte]) < names.count else {
            throw BodyError("\(field).external_image_ids", "it is cut off")
        }
        let start = nextNameByte + 1
        let end = start + Int(names[nextNameByte])
        nextNameByte = end
        if start == end { return nil }
        guard let name = ExternalImageID(String(decoding: names[start..<end], as: UTF8.self)) else {
            throw BodyError("\(field).external_image_ids", "a name is no ExternalImageId")
        }
        return name
    }

    mutating func nextRecord() throws(BodyError) -> FaceRecord {
        var record = FaceRecord(imageID: nil, detail: nil)
        if parts.isEmpty { return record }
        let part = parts[face]
        guard part & ~(WireFaces.hasImage | WireFaces.hasDetail) == 0 else {
            throw BodyError("\(field).parts[\(face)]", "unknown part \(part)")
        }
        if part & WireFaces.hasImage != 0 {
            guard nextImage < images.count else { throw BodyError("\(field).image_ids", "too few") }
            record.imageID = images[nextImage]
            nextImage += 1
        }
        if part & WireFaces.hasDetail != 0 { record.detail = try nextDetail() }
        face += 1
        return record
    }

    /// Throws when columns hold more than the faces that were read.
    func end() throws(BodyError) {
        guard nextNameByte == names.count else {
            throw BodyError("\(field).external_image_ids", "more than the faces have")
        }
        guard nextImage == images.count else { throw BodyError("\(field).image_ids", "more than the faces have") }
        guard details.isEmpty else { throw BodyError("\(field).details", "more than the faces have") }
    }

    private mutating func nextDetail() throws(BodyError) -> FaceDetail {
        let field = "\(field).details"
        guard let landmarks = details.popFirst().map(Int.init) else { throw BodyError(field, "it is cut off") }
        let bytes = 4 * (Self.detailFloats + 2 * landmarks)
        guard details.count >= bytes else { throw BodyError(field, "it is cut off") }
        let v = try Fields.floats(details.prefix(bytes), field)
        details = details.dropFirst(bytes)
        let end = 4 + 2 * landmarks
        return FaceDetail(
            box: BoundingBox(left: v[0], top: v[1], width: v[2], height: v[3]),
            landmarks: stride(from: 4, to: end, by: 2).map { Landmark(x: v[$0], y: v[$0 + 1]) },
            confidence: v[end], quality: FaceQuality(brightness: v[end + 1], sharpness: v[end + 2]),
            pose: FacePose(roll: v[end + 3], yaw: v[end + 4], pitch: v[end + 5]))
    }
}
