import FaceModel
import Foundation
import GRDB

/// What each record does to `state.sqlite`, and to the digest of what it holds.
extension ShardState {
    /// Returns how many more faces live.
    static func apply(_ change: Change, to database: Database, _ digest: inout StateDigest) throws -> Int {
        switch change {
        case .put(let put):
            try apply(put, to: database)
            digest.add(.face(put.id, put.key, put.externalImageID, put.leaf))
            return 1
        case .delete(let delete):
            digest.remove(try apply(delete, to: database))
            if delete.nextCount > 1 { digest.remove(.deletes(delete.key, delete.nextCount - 1)) }
            digest.add(.deletes(delete.key, delete.nextCount))
            return -1
        case .config(let config):
            digest.remove(.roots(try roots(database)))
            let roots = config.roots.map { String($0.value) }.joined(separator: ",")
            try database.execute(sql: "UPDATE meta SET roots = ?", arguments: [roots])
            digest.add(.roots(config.roots.sorted()))
            return 0
        case .split(let split, let index):
            for bucket in try apply(split, at: index, to: database) { digest.add(bucket) }
            return 0
        case .shardSplit, .splitReleased, .splitAborted:
            try applySplit(change, to: database, &digest)
            return 0
        case .checkpoint(let expected, let index):
            guard digest == expected else { throw ReplicaError.diverged(index) }
            return 0
        }
    }

    private static func apply(_ put: PutRecord, to database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO face_key (key, count, live) VALUES (?, ?, 1)
                ON CONFLICT (key) DO UPDATE SET count = excluded.count, live = 1
                """
        ).execute(arguments: [Data(put.key.bytes), Int64(put.count)])
        try database.cachedStatement(
            sql: "INSERT INTO face (id, key, external_image_id, leaf) VALUES (?, ?, ?, ?)"
        ).execute(arguments: [
            Data(put.id.bits.bytes), Data(put.key.bytes), put.externalImageID?.text, Int64(put.leaf.value),
        ])
    }

    /// Returns what the face's row was.
    private static func apply(_ delete: DeleteRecord, to database: Database) throws -> StateDigest.Item {
        let removed = try Row.fetchOne(
            try database.cachedStatement(
                sql: "DELETE FROM face WHERE id = ? RETURNING key, external_image_id, leaf"),
            arguments: [Data(delete.id.bits.bytes)])
        guard let removed else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a face that is to be deleted is not there")
        }
        try database.cachedStatement(sql: "UPDATE face_key SET count = ?, live = 0 WHERE key = ?")
            .execute(arguments: [Int64(delete.nextCount), Data(delete.key.bytes)])
        return face(delete.id, removed)
    }
}
