import FaceModel
import Foundation
import GRDB

/// Which request deleted a face, for as long as it may be asked again: the deletions of the newest
/// `Limits.deletionsRemembered` records.
extension ShardState {
    static func deletion(of id: FaceID, in database: Database) throws -> RequestToken? {
        let statement = try database.cachedStatement(sql: "SELECT token FROM deletion WHERE id = ?")
        let token = try Data.fetchOne(statement, arguments: [Data(id.bits.bytes)])
        return token.map { RequestToken(Bits128(bigEndian: $0)) }
    }

    /// Notes the deletions among changes that are applied `through` an index, and forgets the old ones.
    static func note(_ changes: [Change], through index: LogIndex, in database: Database) throws {
        var noted = false
        for case .delete(let delete) in changes where delete.token != .none {
            noted = true
            try database.cachedStatement(
                sql: "INSERT OR REPLACE INTO deletion (id, token, lsn) VALUES (?, ?, ?)"
            ).execute(arguments: [
                Data(delete.id.bits.bytes), Data(delete.token.bits.bytes), Int64(index.value),
            ])
        }
        guard noted, index.value > Limits.deletionsRemembered else { return }
        try database.cachedStatement(sql: "DELETE FROM deletion WHERE lsn <= ?")
            .execute(arguments: [Int64(index.value - Limits.deletionsRemembered)])
    }
}
