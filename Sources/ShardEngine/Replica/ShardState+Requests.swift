import FaceModel
import Foundation
import GRDB

/// Which request enrolled or deleted a face, for as long as it may be asked again: those of the newest
/// `Limits.requestsRemembered` records.
extension ShardState {
    /// The face that the request of this token enrolled, whether it still lives or not.
    static func enrolment(by token: RequestToken, in database: Database) throws -> FaceID? {
        let statement = try database.cachedStatement(sql: "SELECT id FROM enrolment WHERE token = ?")
        let id = try Data.fetchOne(statement, arguments: [Data(token.bits.bytes)])
        return id.map { FaceID(Bits128(bigEndian: $0)) }
    }

    static func deletion(of id: FaceID, in database: Database) throws -> RequestToken? {
        let statement = try database.cachedStatement(sql: "SELECT token FROM deletion WHERE id = ?")
        let token = try Data.fetchOne(statement, arguments: [Data(id.bits.bytes)])
        return token.map { RequestToken(Bits128(bigEndian: $0)) }
    }

    /// Notes by whom changes were made that are applied `through` an index, and forgets what is old.
    static func note(_ changes: [Change], through index: LogIndex, in database: Database) throws {
        let enrolment = "INSERT OR REPLACE INTO enrolment (token, id, lsn) VALUES (?, ?, ?)"
        let deletion = "INSERT OR REPLACE INTO deletion (token, id, lsn) VALUES (?, ?, ?)"
        for change in changes {
            let (table, token, id): (String, RequestToken, FaceID)
            switch change {
            case .put(let put): (table, token, id) = (enrolment, put.token, put.id)
            case .delete(let delete): (table, token, id) = (deletion, delete.token, delete.id)
            case .config, .split, .checkpoint, .shardSplit, .splitReleased, .splitAborted: continue
            }
            guard token != .none else { continue }
            try database.cachedStatement(sql: table)
                .execute(arguments: [Data(token.bits.bytes), Data(id.bits.bytes), Int64(index.value)])
        }
        try forgetRequests(before: index, in: database)
    }

    /// Those that are old when records are applied as far as `index`.
    static func forgetRequests(before index: LogIndex, in database: Database) throws {
        guard index.value > Limits.requestsRemembered else { return }
        for table in ["enrolment", "deletion"] {
            try database.cachedStatement(sql: "DELETE FROM \(table) WHERE lsn <= ?")
                .execute(arguments: [Int64(index.value - Limits.requestsRemembered)])
        }
    }

    /// Copies what `source` remembers of records behind `index`.
    static func copyRequests(_ source: Database, _ target: Database, after index: LogIndex = .zero) throws {
        for table in ["enrolment", "deletion"] {
            let rows = try Row.fetchCursor(
                source, sql: "SELECT token, id, lsn FROM \(table) WHERE lsn > ?", arguments: [Int64(index.value)])
            let insert = try target.cachedStatement(
                sql: "INSERT OR REPLACE INTO \(table) (token, id, lsn) VALUES (?, ?, ?)")
            while let row = try rows.next() {
                try insert.execute(arguments: [row["token"] as Data, row["id"] as Data, row["lsn"] as Int64])
            }
        }
    }
}
