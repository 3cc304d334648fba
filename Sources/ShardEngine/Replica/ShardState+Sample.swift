import ClusterModel
import FaceModel
import GRDB
import StorageIO

extension ShardState {
    /// The rows of the faces that `request` means, and the leaves they were enrolled under, in FaceID order.
    func sample(_ request: SampleRequest) throws(ReplicaError) -> [(face: StateRow, leaf: LeafID)] {
        try read { database in
            let rows = try Row.fetchCursor(
                database, sql: "SELECT id, external_image_id, segment, row, leaf FROM face ORDER BY id")
            var sample: [(face: StateRow, leaf: LeafID)] = []
            while sample.count < request.limit, let row = try rows.next() {
                let face = StateRow(row)
                let hash = CRC32C.checksum(face.externalImageID.map { Array($0.text.utf8) } ?? face.id.bits.bytes)
                if hash.isMultiple(of: request.every) { sample.append((face, LeafID(row["leaf"]))) }
            }
            return sample
        }
    }
}
