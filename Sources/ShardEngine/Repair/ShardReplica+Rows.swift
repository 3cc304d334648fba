import FaceModel
import Logging
import SegmentStore

/// What a copy gives others that repair a segment.
extension ShardReplica {
    /// Those of `ids` that live here and can be read, each as a record of the log has it; also of a copy that has rot of its
    /// own. A face that a flush or a merge moves meanwhile is left out, and asked for again.
    func rows(of ids: [FaceID]) -> [[UInt8]] {
        guard published.condition.closed == nil, published.condition.ruined == nil else { return [] }
        do throws(ReplicaError) {
            let faces = try state.named(ids)
            let snapshot = published.current.snapshot
            return faces.compactMap { payload($0, in: snapshot) }
        } catch {
            Logger(label: "facet.shard").warning(
                "another copy cannot be helped", metadata: ["shard": "\(descriptor.shard)", "reason": "\(error.text)"])
            return []
        }
    }

    private func payload(_ face: NamedFace, in snapshot: SearchSnapshot) -> [UInt8]? {
        guard let locator = snapshot.locators(of: [face.row])?.first else { return nil }
        do throws(SegmentError) {
            return PutRecord(
                id: face.row.id, key: face.key, count: face.count, leaf: face.leaf,
                externalImageID: face.row.externalImageID, record: try snapshot.record(at: locator),
                vector: try snapshot.vector(at: locator), token: .none
            ).payload
        } catch {
            _ = alarm.raise(error)
            return nil
        }
    }
}
