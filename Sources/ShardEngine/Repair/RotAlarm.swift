import ClusterModel
import FaceModel
import SegmentStore

/// What any reader of a copy's segments does about one that is rotten: from then on nobody is answered from this copy
/// until the segment is repaired, and the writer is told.
struct RotAlarm: Sendable {
    let shard: ShardID
    let condition: ReplicaCondition
    let inbox: ReplicaInbox<WaitingRequest>

    /// Returns what whoever asked is told.
    func raise(_ fault: SegmentError) -> ShardError {
        if let segment = fault.rottenSegment {
            if condition.setRotten(segment, fault.sentence) {
                // Refused only once the copy is closed: its next life finds the rot again.
                _ = inbox.add(.errand(.rotten(segment, fault)))
            }
        } else {
            condition.setDamaged(fault.sentence)
        }
        return .damaged(shard, reason: fault.sentence)
    }
}
