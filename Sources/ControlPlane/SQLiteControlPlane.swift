package import ClusterModel
package import FaceModel
import Foundation
import GRDB

/// The control plane of an embedded server: one table of registers in one SQLite file.
///
/// Every transaction is durable when it returns (WAL mode, `synchronous=FULL`). Several processes may open the file:
/// `facectl keys` writes to it while the server runs.
package final class SQLiteControlPlane: ControlPlane {
    let database: DatabasePool
    let path: String
    let now: @Sendable () -> Timestamp

    /// `now`, the system's clock unless a test has another, decides when leases end.
    package init(
        path: String, now: @escaping @Sendable () -> Timestamp = SQLiteControlPlane.systemTime
    ) throws(ControlPlaneError) {
        self.path = path
        self.now = now
        do {
            database = try DatabasePool(path: path, configuration: Self.configuration)
            // The pool has set NORMAL as it opened, with which transactions are durable only after the next checkpoint.
            try database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            try Self.migrator.migrate(database)
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    package static func systemTime() -> Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    }

    package func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let rows = try await rows("SELECT path, value, revision FROM register WHERE path = ?", [key.path])
        return try rows.first.map { row throws(ControlPlaneError) in try row.decoded() }
    }

    package func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] {
        // "0" follows "/" in ASCII: the range holds exactly the paths that begin with the prefix.
        let end = family.prefix.dropLast() + "0"
        let rows = try await rows(
            "SELECT path, value, revision FROM register WHERE path >= ? AND path < ? ORDER BY path",
            [family.prefix, String(end)])
        var registers: [Register] = []
        for row in rows { registers.append(try row.decoded()) }
        return registers
    }

    package func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        transaction.checkBounds()
        do {
            return try await database.write { [now] in
                try Self.apply(transaction, to: $0, at: now().milliseconds)
            }
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    private func rows(
        _ sql: String, _ arguments: [String]
    ) async throws(ControlPlaneError) -> [StoredRegister] {
        do {
            try await removeEnded()
            return try await database.read { database in
                try Row.fetchAll(database, sql: sql, arguments: StatementArguments(arguments)).map {
                    StoredRegister($0)
                }
            }
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    private static func apply(
        _ transaction: RegisterTransaction, to database: Database, at now: Int64
    ) throws -> TransactionOutcome {
        try removeEnded(database, now: now)
        for change in transaction.changes {
            let (key, expected) = change.target
            let found = try Int64.fetchOne(
                database, sql: "SELECT revision FROM register WHERE path = ?", arguments: [key.path])
            guard (found ?? 0) == expected.value else { return .conflict(key) }
        }
        if let lease = transaction.lease, try !isOpen(lease, in: database) { return .leaseEnded }
        try database.execute(sql: "UPDATE counter SET revision = revision + 1")
        guard let revision = try Int64.fetchOne(database, sql: "SELECT revision FROM counter") else {
            throw DatabaseError(message: "the revision counter is missing")
        }
        for change in transaction.changes {
            switch change {
            case .put(let value, _):
                try database.execute(
                    sql: "INSERT OR REPLACE INTO register (path, value, revision, lease) VALUES (?, ?, ?, ?)",
                    arguments: [
                        value.key.path, Data(RegisterCodec.encode(value)), revision, transaction.lease?.value,
                    ])
            case .delete(let key, _):
                try database.execute(sql: "DELETE FROM register WHERE path = ?", arguments: [key.path])
            case .unchanged: break
            }
        }
        try forgetOldDeletions(database)
        return .committed(Revision(revision))
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
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
        // Triggers, so that a process of the version before, which knows no table of deletions, fills it too.
        migrator.registerMigration("2") { database in
            try database.execute(
                sql: """
                    CREATE TABLE deletion (path TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
                    CREATE INDEX register_revision ON register (revision);
                    CREATE INDEX deletion_revision ON deletion (revision);
                    ALTER TABLE counter ADD COLUMN horizon INTEGER NOT NULL DEFAULT 0;
                    UPDATE counter SET horizon = revision;
                    CREATE TRIGGER register_gone AFTER DELETE ON register BEGIN
                        INSERT OR REPLACE INTO deletion SELECT old.path, revision FROM counter;
                    END;
                    CREATE TRIGGER register_made AFTER INSERT ON register BEGIN
                        DELETE FROM deletion WHERE path = new.path;
                    END;
                    """)
        }
        registerLeaseMigration(in: &migrator)
        return migrator
    }

    static func unavailable(_ error: any Error, path: String, outcomeUnknown: Bool) -> ControlPlaneError {
        if let known = error as? ControlPlaneError { return known }
        let reason = (error as? DatabaseError)?.message ?? String(describing: error)
        return .unavailable(reason: "\(path): \(reason)", outcomeUnknown: outcomeUnknown)
    }
}
