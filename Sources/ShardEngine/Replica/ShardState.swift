import FaceModel
import Foundation
import GRDB
import StorageIO

/// Where a face's row stands: in a segment, or (both nil) in the buffer.
struct RowPlace: Equatable, Sendable {
    var segment: UInt64
    var row: UInt32
}

/// `state.sqlite`: which faces live, under which names, and up to which log position that is so.
///
/// Everything a record changes happens in one transaction together with `applied`. `synchronous=NORMAL`: a crash may
/// forget the newest transactions, never half of one, and the log repeats them. One writer (the replica's thread).
final class ShardState: Sendable {
    let path: String
    let pool: DatabasePool

    /// Opens the database, or makes one; brings it to `version` of its format (nil: the newest).
    init(path: String, version: String? = nil) throws(ReplicaError) {
        self.path = path
        do {
            pool = try DatabasePool(path: path, configuration: Self.configuration)
            if let version { try Self.migrator.migrate(pool, upTo: version) } else { try Self.migrator.migrate(pool) }
        } catch {
            throw ReplicaError.state(error, path: path)
        }
    }

    func applied() throws(ReplicaError) -> LogIndex {
        LogIndex(UInt64(try read { try Int64.fetchOne($0, sql: "SELECT applied FROM meta") } ?? 0))
    }

    /// The segments that the rows' places were written for, by rising number.
    func placedSegments() throws(ReplicaError) -> [UInt64] {
        let text = try read { try String.fetchOne($0, sql: "SELECT placed_segments FROM meta") } ?? ""
        return text.split(separator: ",").compactMap { UInt64($0) }
    }

    func count() throws(ReplicaError) -> Int {
        try read { try Int.fetchOne($0, sql: "SELECT faces FROM meta") } ?? 0
    }

    /// The subtree roots this shard owns at the applied index.
    func roots() throws(ReplicaError) -> [LeafID] {
        let text = try read { try String.fetchOne($0, sql: "SELECT roots FROM meta") } ?? ""
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        let roots = fields.compactMap { UInt32($0).map(LeafID.init) }
        guard roots.count == fields.count else {
            throw .damagedState(path: path, reason: "the subtree roots cannot be read")
        }
        return roots.sorted()
    }

    func known(keys: [FaceKey], ids: [FaceID]) throws(ReplicaError) -> KnownFaces {
        try read { database in
            var known = KnownFaces()
            let byKey = try database.cachedStatement(sql: "SELECT count, live FROM face_key WHERE key = ?")
            for key in Set(keys) {
                if let row = try Row.fetchOne(byKey, arguments: [Data(key.bytes)]) {
                    known.keys[key] = FaceKeyState(count: row["count"], live: row["live"])
                }
            }
            let byID = try database.cachedStatement(
                sql: "SELECT key, count FROM face JOIN face_key USING (key) WHERE id = ?")
            for id in Set(ids) {
                if let row = try Row.fetchOne(byID, arguments: [Data(id.bits.bytes)]) {
                    let key = FaceKey(bytes: [UInt8](row["key"] as Data))
                    known.live[id] = key
                    known.keys[key] = FaceKeyState(count: row["count"], live: true)
                } else if let token = try Self.deletion(of: id, in: database) {
                    known.deletions[id] = token
                }
            }
            return known
        }
    }

    /// Places of the faces a change list deletes, read before it is applied; faces in the buffer have none.
    func places(of ids: [FaceID]) throws(ReplicaError) -> [FaceID: RowPlace] {
        try read { database in
            var places: [FaceID: RowPlace] = [:]
            let statement = try database.cachedStatement(sql: "SELECT segment, row FROM face WHERE id = ?")
            for id in ids {
                guard let row = try Row.fetchOne(statement, arguments: [Data(id.bits.bytes)]),
                    let segment = row["segment"] as Int64?, let index = row["row"] as UInt32?
                else { continue }
                places[id] = RowPlace(segment: UInt64(segment), row: index)
            }
            return places
        }
    }

    func apply(_ changes: [Change], through index: LogIndex) throws(ReplicaError) {
        try write { database in
            var balance = 0
            for change in changes { balance += try Self.apply(change, to: database) }
            try Self.note(changes, through: index, in: database)
            try database.execute(
                sql: "UPDATE meta SET applied = ?, faces = faces + ?", arguments: [Int64(index.value), balance])
        }
    }

    /// Writes where rows stand after a flush or a compaction; ids that no longer live are passed over.
    func place(
        _ ids: [FaceID], inSegment segment: UInt64, of segments: [UInt64]
    ) throws(ReplicaError) {
        try write { database in
            let statement = try database.cachedStatement(sql: "UPDATE face SET segment = ?, row = ? WHERE id = ?")
            // In the table's order, so that each of its pages is changed once.
            for row in ids.indices.sorted(by: { ids[$0] < ids[$1] }) {
                try statement.execute(arguments: [Int64(segment), Int64(row), Data(ids[row].bits.bytes)])
            }
            let numbers = segments.map(String.init).joined(separator: ",")
            try database.execute(sql: "UPDATE meta SET placed_segments = ?", arguments: [numbers])
        }
    }

    /// Forgets all places, as a first step of deriving them anew from the segments.
    func forgetPlaces() throws(ReplicaError) {
        try write { try $0.execute(sql: "UPDATE face SET segment = NULL, row = NULL") }
    }

    /// Calls `body` with the place of every live face that stands in a segment.
    func forEachPlace(_ body: (RowPlace) -> Void) throws(ReplicaError) {
        try read { database in
            let rows = try Row.fetchCursor(database, sql: "SELECT segment, row FROM face WHERE segment IS NOT NULL")
            while let row = try rows.next() {
                body(RowPlace(segment: UInt64(row[0] as Int64), row: row[1]))
            }
        }
    }

    /// ExternalImageIds and places of the faces among `ids` that live, in FaceID order.
    func lookup(_ ids: [FaceID]) throws(ReplicaError) -> [StateRow] {
        // Most searches find nobody, and need not wait for a connection to the database to hear it.
        guard !ids.isEmpty else { return [] }
        return try read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT id, external_image_id, segment, row FROM face WHERE id = ?")
            return try ids.sorted().compactMap { id in
                try Row.fetchOne(statement, arguments: [Data(id.bits.bytes)]).map(StateRow.init)
            }
        }
    }

    func list(after id: FaceID?, limit: Int) throws(ReplicaError) -> [StateRow] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT id, external_image_id, segment, row FROM face WHERE id > ? ORDER BY id LIMIT ?",
                arguments: [Data(id?.bits.bytes ?? []), limit])
            return rows.map(StateRow.init)
        }
    }

    /// Makes every transaction so far durable. Only the WAL file is opened here: closing a descriptor of the
    /// database file itself would drop SQLite's own locks on it.
    func synchronize(on files: any FileSystem) throws(ReplicaError) {
        do {
            let wal = path + "-wal"
            guard try files.exists(wal) else { return }
            let handle = try files.open(wal, .readWrite)
            defer { handle.close() }
            try handle.synchronize()
        } catch {
            throw .file(error)
        }
    }

    func close() throws(ReplicaError) {
        do { try pool.close() } catch { throw ReplicaError.state(error, path: path) }
    }

    private static func apply(_ change: Change, to database: Database) throws -> Int {
        switch change {
        case .put(let put):
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
            return 1
        case .delete(let delete):
            try database.cachedStatement(sql: "DELETE FROM face WHERE id = ?")
                .execute(arguments: [Data(delete.id.bits.bytes)])
            try database.cachedStatement(sql: "UPDATE face_key SET count = ?, live = 0 WHERE key = ?")
                .execute(arguments: [Int64(delete.nextCount), Data(delete.key.bytes)])
            return -1
        case .config(let config):
            let roots = config.roots.map { String($0.value) }.joined(separator: ",")
            try database.execute(sql: "UPDATE meta SET roots = ?", arguments: [roots])
            return 0
        case .split(let split, let index):
            try apply(split, at: index, to: database)
            return 0
        }
    }

    func read<Value>(_ body: (Database) throws -> Value) throws(ReplicaError) -> Value {
        do { return try pool.read(body) } catch { throw ReplicaError.state(error, path: path) }
    }

    private func write(_ body: (Database) throws -> Void) throws(ReplicaError) {
        do { try pool.write(body) } catch { throw ReplicaError.state(error, path: path) }
    }
}

/// One live face as `state.sqlite` tells it.
struct StateRow {
    var id: FaceID
    var externalImageID: ExternalImageID?
    var place: RowPlace?

    init(_ row: Row) {
        id = FaceID(Bits128(bigEndian: row["id"] as Data))
        externalImageID = (row["external_image_id"] as String?).flatMap(ExternalImageID.init)
        if let segment = row["segment"] as Int64?, let index = row["row"] as UInt32? {
            place = RowPlace(segment: UInt64(segment), row: index)
        }
    }
}

extension ShardState {
    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.maximumReaderCount = 8
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
            try database.execute(sql: "PRAGMA secure_delete = ON")
            try database.execute(sql: "PRAGMA cell_size_check = ON")
        }
        return configuration
    }

    /// The format of `state.sqlite`: docs/formats/state.md.
    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(
                sql: """
                    CREATE TABLE meta (
                        only INTEGER PRIMARY KEY CHECK (only = 1), applied INTEGER NOT NULL,
                        placed_segments TEXT NOT NULL, faces INTEGER NOT NULL
                    );
                    INSERT INTO meta VALUES (1, 0, '', 0);
                    CREATE TABLE face (
                        id BLOB PRIMARY KEY NOT NULL, key BLOB NOT NULL, external_image_id TEXT,
                        leaf INTEGER NOT NULL, segment INTEGER, row INTEGER
                    ) WITHOUT ROWID;
                    CREATE TABLE face_key (
                        key BLOB PRIMARY KEY NOT NULL, count INTEGER NOT NULL, live INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    """)
        }
        // Shards from before owned the whole tree.
        migrator.registerMigration("2") { database in
            try database.execute(sql: "ALTER TABLE meta ADD COLUMN roots TEXT NOT NULL DEFAULT '0'")
        }
        // Shards from before have never split a bucket.
        migrator.registerMigration("3") { database in
            try database.execute(
                sql: """
                    CREATE TABLE bucket (
                        id INTEGER PRIMARY KEY NOT NULL, parent INTEGER NOT NULL, centroid BLOB NOT NULL,
                        lsn INTEGER NOT NULL
                    );
                    """)
        }
        // Shards from before do not know who deleted what.
        migrator.registerMigration("4") { database in
            try database.execute(
                sql: """
                    CREATE TABLE deletion (
                        id BLOB PRIMARY KEY NOT NULL, token BLOB NOT NULL, lsn INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    CREATE INDEX deletion_lsn ON deletion (lsn);
                    """)
        }
        return migrator
    }
}
