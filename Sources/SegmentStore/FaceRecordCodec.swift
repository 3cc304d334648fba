package import FaceModel
import StorageIO

/// A `FaceRecord` as bytes, floats bit for bit; docs/formats/segment.md, "Record".
package enum FaceRecordCodec {
    private static let version: UInt8 = 1
    private static let hasImage: UInt8 = 1
    private static let hasDetail: UInt8 = 2
    /// More landmarks than this are a programming error.
    package static let landmarksMax = 255

    package static func encode(_ record: FaceRecord) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(version)
        writer.put((record.imageID == nil ? 0 : hasImage) | (record.detail == nil ? 0 : hasDetail))
        if let image = record.imageID { writer.put(bytes: image.bits.bytes) }
        if let detail = record.detail { encode(detail, into: &writer) }
        return writer.bytes
    }

    /// Nil unless `bytes` are exactly one record of a version and with flags that are known.
    package static func decode(_ bytes: [UInt8]) -> FaceRecord? {
        var reader = ByteReader(bytes)
        do {
            guard try reader.u8() == version else { return nil }
            let flags = try reader.u8()
            guard flags & ~(hasImage | hasDetail) == 0 else { return nil }
            var record = FaceRecord(imageID: nil, detail: nil)
            if flags & hasImage != 0 { record.imageID = ImageID(Bits128(bigEndian: try reader.bytes(16))) }
            if flags & hasDetail != 0 { record.detail = try decodeDetail(&reader) }
            return reader.remaining == 0 ? record : nil
        } catch {
            return nil
        }
    }

    private static func encode(_ detail: FaceDetail, into writer: inout ByteWriter) {
        precondition(detail.landmarks.count <= landmarksMax, "a face has few landmarks")
        for value in [detail.box.left, detail.box.top, detail.box.width, detail.box.height] { writer.put(value) }
        writer.put(UInt8(detail.landmarks.count))
        for landmark in detail.landmarks {
            writer.put(landmark.x)
            writer.put(landmark.y)
        }
        writer.put(detail.confidence)
        for value in [detail.quality.brightness, detail.quality.sharpness] { writer.put(value) }
        for value in [detail.pose.roll, detail.pose.yaw, detail.pose.pitch] { writer.put(value) }
    }

    private static func decodeDetail(_ reader: inout ByteReader) throws(ByteReadError) -> FaceDetail {
        let box = BoundingBox(
            left: try reader.float(), top: try reader.float(), width: try reader.float(), height: try reader.float())
        var landmarks: [Landmark] = []
        for _ in 0..<Int(try reader.u8()) { landmarks.append(Landmark(x: try reader.float(), y: try reader.float())) }
        return FaceDetail(
            box: box, landmarks: landmarks, confidence: try reader.float(),
            quality: FaceQuality(brightness: try reader.float(), sharpness: try reader.float()),
            pose: FacePose(roll: try reader.float(), yaw: try reader.float(), pitch: try reader.float()))
    }
}

extension FaceRecordCodec {
    /// The records of one block of a segment; nil unless there are exactly `count`.
    static func decodeBlock(_ raw: [UInt8], count: Int) -> [FaceRecord]? {
        var reader = ByteReader(raw)
        var records: [FaceRecord] = []
        do {
            for _ in 0..<count {
                let length = Int(try reader.u16())
                guard let record = decode(try reader.bytes(length)) else { return nil }
                records.append(record)
            }
        } catch {
            return nil
        }
        return reader.remaining == 0 ? records : nil
    }

    /// One record of a block, by its number; nil where the block ends before it does. The others are stepped over.
    static func decodeBlock(_ raw: [UInt8], only number: Int) -> FaceRecord? {
        var start = 0
        for _ in 0..<number {
            guard start + 2 <= raw.count else { return nil }
            start += 2 + Int(raw[start]) + Int(raw[start + 1]) << 8
        }
        guard start + 2 <= raw.count else { return nil }
        let end = start + 2 + Int(raw[start]) + Int(raw[start + 1]) << 8
        return end <= raw.count ? decode(Array(raw[start + 2..<end])) : nil
    }
}
