package import ClusterModel
import GRDB

/// Leases of one file. Whoever reads or writes first after the end of a lease removes what was under it, by a
/// transaction like any other.
extension SQLiteControlPlane {
    /// A lease that would end much later than its duration allows was renewed before the clock was set back: it has
    /// ended. A clock that goes back by less than that duration only prolongs it.
    private static let isOver = "(expires_ms <= :now OR expires_ms > :now + 2 * duration_ms)"

    package func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID {
        precondition(LeaseID.seconds.contains(seconds), "a lease lasts \(LeaseID.seconds) seconds")
        return LeaseID(
            try await writing { database, now in
                try database.execute(
                    sql: "INSERT INTO lease (duration_ms, expires_ms) VALUES (:duration, :now + :duration)",
                    arguments: ["now": now, "duration": seconds * 1_000])
                return database.lastInsertedRowID
            })
    }

    package func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool {
        try await writing { database, now in
            try database.execute(
                sql: "UPDATE lease SET expires_ms = :now + duration_ms WHERE id = :id",
                arguments: ["now": now, "id": lease.value])
            return database.changesCount > 0
        }
    }

    package func end(_ lease: LeaseID) async throws(ControlPlaneError) {
        try await writing { database, now in
            try database.execute(sql: "UPDATE lease SET expires_ms = 0 WHERE id = ?", arguments: [lease.value])
            try Self.removeEnded(database, now: now)
        }
    }

    /// After what has ended is gone.
    private func writing<Value: Sendable>(
        _ body: @escaping @Sendable (Database, _ now: Int64) throws -> Value
    ) async throws(ControlPlaneError) -> Value {
        do {
            return try await database.write { [now] database in
                let now = now().milliseconds
                try Self.removeEnded(database, now: now)
                return try body(database, now)
            }
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    /// Before every read: writes only when a lease has ended.
    func removeEnded() async throws {
        let hasEnded = try await database.read { [now] database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM lease WHERE \(Self.isOver))",
                arguments: ["now": now().milliseconds])
        }
        guard hasEnded == true else { return }
        try await database.write { [now] in try Self.removeEnded($0, now: now().milliseconds) }
    }

    static func removeEnded(_ database: Database, now: Int64) throws {
        let under = "lease IN (SELECT id FROM lease WHERE \(isOver))"
        let arguments: StatementArguments = ["now": now]
        let held = try Bool.fetchOne(
            database, sql: "SELECT EXISTS (SELECT 1 FROM register WHERE \(under))", arguments: arguments)
        if held == true {
            try database.execute(sql: "UPDATE counter SET revision = revision + 1")
            try database.execute(sql: "DELETE FROM register WHERE \(under)", arguments: arguments)
            try forgetOldDeletions(database)
        }
        try database.execute(sql: "DELETE FROM lease WHERE \(isOver)", arguments: arguments)
    }

    /// After `removeEnded`.
    static func isOpen(_ lease: LeaseID, in database: Database) throws -> Bool {
        try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM lease WHERE id = ?)", arguments: [lease.value])
            == true
    }

    static func registerLeaseMigration(in migrator: inout DatabaseMigrator) {
        migrator.registerMigration("3") { database in
            try database.execute(
                sql: """
                    CREATE TABLE lease (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, duration_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL
                    );
                    ALTER TABLE register ADD COLUMN lease INTEGER;
                    CREATE INDEX register_lease ON register (lease) WHERE lease IS NOT NULL;
                    """)
        }
    }
}
