import FaceModel
import StorageIO
import VectorSearch

/// Payload of a `BucketSplit` record. Format: docs/formats/shard-records.md.
extension BucketSplit {
    static let version: UInt8 = 1

    var payload: [UInt8] {
        let dimension = centroids.0.dimension
        var writer = ByteWriter(reserving: 15 + 8 * dimension)
        writer.put(Self.version)
        writer.put(parent.value)
        writer.put(children.0.value)
        writer.put(children.1.value)
        writer.put(UInt16(dimension))
        for value in centroids.0.values + centroids.1.values { writer.put(value) }
        return writer.bytes
    }

    init(payload: [UInt8], at index: LogIndex) throws(ReplicaError) {
        do {
            var reader = ByteReader(payload)
            guard try reader.u8() == Self.version else {
                throw ReplicaError.record(index, reason: "BucketSplit of a version this program does not know")
            }
            let parent = LeafID(try reader.u32())
            let children = (LeafID(try reader.u32()), LeafID(try reader.u32()))
            let dimension = Int(try reader.u16())
            let centroids = (try reader.vector(dimension), try reader.vector(dimension))
            self.init(parent: parent, children: children, centroids: centroids)
        } catch let error as ReplicaError {
            throw error
        } catch {
            throw .record(index, reason: "BucketSplit cannot be read: \(error)")
        }
    }
}

extension ByteReader {
    mutating func vector(_ dimension: Int) throws(ByteReadError) -> RotatedVector {
        var values: [Float] = []
        values.reserveCapacity(dimension)
        for _ in 0..<dimension { values.append(try float()) }
        return RotatedVector(rotated: values)
    }
}
