package import FaceModel

/// Ids of faces and images: functions of the collection's id key, so that a retry meets the face it stored before and
/// a photo alone cannot test membership (replication.md, "Ids").
///
/// Every input is framed by `KeyedHash.framed`; integers are big endian.
package enum FaceIdentity {
    /// 32 bytes. The vector enters by the bits of its floats; -0 and 0 are different faces, as they are on disk.
    package static func faceKey(
        idKey: [UInt8], vector: RotatedVector, externalImageID: ExternalImageID?, modelVersion: String
    ) -> [UInt8] {
        var bits: [UInt8] = []
        bits.reserveCapacity(4 * vector.dimension)
        for value in vector.values { withUnsafeBytes(of: value.bitPattern.bigEndian) { bits.append(contentsOf: $0) } }
        let name: [UInt8] = externalImageID.map { [1] + Array($0.text.utf8) } ?? [0]
        return KeyedHash.hmac(
            key: idKey, label: "facet face key v1", parts: [bits, name, Array(modelVersion.utf8)])
    }

    /// `count` is how often this face key was deleted before: a face enrolled again is a new face.
    package static func faceID(idKey: [UInt8], faceKey: [UInt8], count: UInt32) -> FaceID {
        let number = withUnsafeBytes(of: count.bigEndian) { Array($0) }
        let mac = KeyedHash.hmac(key: idKey, label: "facet face id v1", parts: [faceKey, number])
        return FaceID(Bits128(bigEndian: mac).stamped(version: 4))
    }

    /// `imageDigest` is SHA-256 of the image's bytes as they came.
    package static func imageID(idKey: [UInt8], imageDigest: [UInt8]) -> ImageID {
        let mac = KeyedHash.hmac(key: idKey, label: "facet image id v1", parts: [imageDigest])
        return ImageID(Bits128(bigEndian: mac).stamped(version: 5))
    }
}
