import FaceModel
import Foundation
import GRDB
import Logging
import WriteAheadLog

/// What is done about faces whose records are lost, where an operator has accepted that.
extension OpenedFiles {
    /// Deletes every face that the state knows and whose vector nobody has: it stood in a record that is lost. A face that
    /// is enrolled again gets another id, as after any delete.
    static func forgetLostFaces(
        _ state: ShardState, _ store: ReplicaStore, at applied: LogIndex, logger: Logger
    ) throws(ReplicaError) {
        let lost = try state.unplaced().filter { !store.isBuffered($0.id) }
        guard !lost.isEmpty else { return }
        logger.warning("faces whose records are lost are forgotten", metadata: ["faces": "\(lost.count)"])
        try state.apply(lost.map { .delete($0) }, through: applied)
    }

    /// Where records stand in for lost ones, the log is made to begin behind them: what the copy holds does not follow from
    /// it any more, so that others must be built from its files.
    mutating func settleLoss(in folder: ShardFolder) throws(ReplicaError) {
        guard openedLog.standsIn, openedLog.log.lastIndex == applied else { return }
        let segment = try store.flush(through: applied, tree: tree.tree)
        try state.place(segment?.ids ?? [], inSegment: segment?.number ?? 0, of: store.segmentNumbers)
        try state.synchronize(on: folder.files)
        do throws(LogError) { try openedLog.log.release() } catch { throw .log(error) }
        openedLog.scanned.outline.release(before: openedLog.log.firstIndex)
    }
}

extension ShardState {
    /// What deletes each live face that stands in no segment.
    fileprivate func unplaced() throws(ReplicaError) -> [DeleteRecord] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT id, key, count FROM face JOIN face_key USING (key) WHERE segment IS NULL ORDER BY id")
            return rows.map { row in
                DeleteRecord(
                    id: FaceID(Bits128(bigEndian: row["id"] as Data)),
                    key: FaceKey(bytes: [UInt8](row["key"] as Data)), nextCount: (row["count"] as UInt32) + 1,
                    token: .none)
            }
        }
    }
}
