package import ClusterModel
import Foundation
import GRDB

/// The control plane of an embedded server: one table of registers in one SQLite file.
///
/// Every transaction is durable when it returns (WAL mode, `synchronous=FULL`). Several processes may open the file:
/// `facectl keys` writes to it while the server runs.
package final class SQLiteControlPlane: ControlPlane {
    private let database: DatabasePool
    private let path: String

    package init(path: String) throws(ControlPlaneError) {
        self.path = path
        do {
            database = try DatabasePool(path: path, configuration: Self.configuration)
            try Self.migrator.migrate(database)
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    package func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let rows = try await rows("SELECT path, value, revision FROM register WHERE path = ?", [key.path])
        return try rows.first.map(Self.register)
    }

    package func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] {
        // "0" follows "/" in ASCII: the range holds exactly the paths that begin with the prefix.
        let end = family.prefix.dropLast() + "0"
        let rows = try await rows(
            "SELECT path, value, revision FROM register WHERE path >= ? AND path < ? ORDER BY path",
            [family.prefix, String(end)])
        var registers: [Register] = []
        for row in rows { registers.append(try Self.register(row)) }
        return registers
    }

    package func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        do {
            return try await database.write { try Self.apply(transaction, to: $0) }
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    private struct StoredRow: Sendable {
        var path: String
        var value: Data
        var revision: Int64
    }

    private func rows(
        _ sql: String, _ arguments: [String]
    ) async throws(ControlPlaneError) -> [StoredRow] {
        do {
            return try await database.read { database in
                try Row.fetchAll(database, sql: sql, arguments: StatementArguments(arguments)).map {
                    StoredRow(path: $0["path"], value: $0["value"], revision: $0["revision"])
                }
            }
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    private static func register(_ row: StoredRow) throws(ControlPlaneError) -> Register {
        Register(
            value: try RegisterCodec.decode([UInt8](row.value), path: row.path), revision: Revision(row.revision))
    }

    private static func apply(_ transaction: RegisterTransaction, to database: Database) throws -> TransactionOutcome {
        for change in transaction.changes {
            let (key, expected) =
                switch change {
                case .put(let value, let expecting): (value.key, expecting)
                case .delete(let key, let expecting): (key, expecting)
                }
            let found = try Int64.fetchOne(
                database, sql: "SELECT revision FROM register WHERE path = ?", arguments: [key.path])
            guard (found ?? 0) == expected.value else { return .conflict(key) }
        }
        try database.execute(sql: "UPDATE counter SET revision = revision + 1")
        guard let revision = try Int64.fetchOne(database, sql: "SELECT revision FROM counter") else {
            throw DatabaseError(message: "the revision counter is missing")
        }
        for change in transaction.changes {
            switch change {
            case .put(let value, _):
                try database.execute(
                    sql: "INSERT OR REPLACE INTO register (path, value, revision) VALUES (?, ?, ?)",
                    arguments: [value.key.path, Data(RegisterCodec.encode(value)), revision])
            case .delete(let key, _):
                try database.execute(sql: "DELETE FROM register WHERE path = ?", arguments: [key.path])
            }
        }
        return .committed(Revision(revision))
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.execute(sql: "PRAGMA secure_delete = ON")
        }
        return configuration
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(
                sql: """
                    CREATE TABLE register (
                        path TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL);
                    INSERT INTO counter VALUES (1, 0);
                    """)
        }
        return migrator
    }

    private static func unavailable(_ error: any Error, path: String, outcomeUnknown: Bool) -> ControlPlaneError {
        if let known = error as? ControlPlaneError { return known }
        let reason = (error as? DatabaseError)?.message ?? String(describing: error)
        return .unavailable(reason: "\(path): \(reason)", outcomeUnknown: outcomeUnknown)
    }
}
