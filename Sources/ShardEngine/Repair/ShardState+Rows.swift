import FaceModel
import Foundation
import GRDB
import KeyHierarchy
import SegmentStore

extension StateSnapshot {
    /// The live faces that stand in a segment.
    func rows(of segment: UInt64) throws(ReplicaError) -> [RepairJob.Row] {
        do {
            return try read { database in
                let rows = try Row.fetchCursor(
                    database, sql: "SELECT leaf, id, row FROM face WHERE segment = ?", arguments: [Int64(segment)])
                var found: [RepairJob.Row] = []
                while let row = try rows.next() {
                    found.append(
                        RepairJob.Row(
                            leaf: LeafID(row[0]), id: FaceID(Bits128(bigEndian: row[1] as Data)),
                            row: Int(row[2] as UInt32)))
                }
                return found
            }
        } catch {
            throw ReplicaError.state(error, path: path)
        }
    }
}

/// A live face without what its segment holds of it.
struct NamedFace {
    var row: StateRow
    var key: FaceKey
    /// How often the key was deleted before the face was enrolled.
    var count: UInt32
    var leaf: LeafID
}

extension ShardState {
    /// Those of `ids` that live.
    func named(_ ids: [FaceID]) throws(ReplicaError) -> [NamedFace] {
        try read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT id, key, count, external_image_id, leaf, segment, row FROM face JOIN face_key USING (key)
                    WHERE id = ?
                    """)
            return try ids.compactMap { id in
                try Row.fetchOne(statement, arguments: [Data(id.bits.bytes)]).map { row in
                    NamedFace(
                        row: StateRow(row), key: FaceKey(bytes: [UInt8](row["key"] as Data)), count: row["count"],
                        leaf: LeafID(row["leaf"]))
                }
            }
        }
    }

    /// Reads every row and holds them to the digest that was kept with each change. Throws `damagedState`.
    func check() throws(ReplicaError) {
        let isWhole = try read { database in
            guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else { return false }
            return try Self.recount(database) == Self.digest(database)
        }
        guard isWhole else {
            throw .damagedState(path: path, reason: "its rows are not what was applied")
        }
    }
}
