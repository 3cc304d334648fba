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

    func applied() throws(ReplicaError) -> LogIndex { try read { try Self.applied($0) } }

    private static func applied(_ database: Database) throws -> LogIndex {
        let statement = try database.cachedStatement(sql: "SELECT applied FROM meta")
        return LogIndex(UInt64(try Int64.fetchOne(statement) ?? 0))
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
        try read { try Self.roots($0) }
    }

    /// What is known of the faces and requests that some requests name.
    func known(_ requests: [Proposal.Request]) throws(ReplicaError) -> KnownFaces {
        try read { database in
            var known = KnownFaces()
            let byKey = try database.cachedStatement(sql: "SELECT count, live FROM face_key WHERE key = ?")
            for key in Set(requests.flatMap(\.keys)) {
                if let row = try Row.fetchOne(byKey, arguments: [Data(key.bytes)]) {
                    known.keys[key] = FaceKeyState(count: row["count"], live: row["live"])
                }
            }
            let byID = try database.cachedStatement(
                sql: "SELECT key, count FROM face JOIN face_key USING (key) WHERE id = ?")
            for id in Set(requests.flatMap(\.ids)) {
                if let row = try Row.fetchOne(byID, arguments: [Data(id.bits.bytes)]) {
                    let key = FaceKey(bytes: [UInt8](row["key"] as Data))
                    known.live[id] = key
                    known.keys[key] = FaceKeyState(count: row["count"], live: true)
                } else if let token = try Self.deletion(of: id, in: database) {
                    known.deletions[id] = token
                }
            }
            for token in requests.flatMap(\.tokens) where token != .none {
                known.enrolments[token] = try Self.enrolment(by: token, in: database)
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
            var digest = try Self.digest(database)
            for change in changes { balance += try Self.apply(change, to: database, &digest) }
            try Self.note(changes, through: index, in: database)
            try database.execute(
                sql: "UPDATE meta SET applied = ?, faces = faces + ?, digest = ?",
                arguments: [Int64(index.value), balance, Data(digest.bytes)])
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
        ids.isEmpty ? [] : try read { try Self.lookup(ids, in: $0) }
    }

    /// The same with what was applied then.
    func find(_ ids: [FaceID]) throws(ReplicaError) -> FoundRows {
        try read { FoundRows(rows: try Self.lookup(ids, in: $0), applied: try Self.applied($0)) }
    }

    private static func lookup(_ ids: [FaceID], in database: Database) throws -> [StateRow] {
        let statement = try database.cachedStatement(
            sql: "SELECT id, external_image_id, segment, row FROM face WHERE id = ?")
        return try ids.sorted().compactMap { id in
            try Row.fetchOne(statement, arguments: [Data(id.bits.bytes)]).map(StateRow.init)
        }
    }

    func list(after id: FaceID?, limit: Int) throws(ReplicaError) -> FoundRows {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT id, external_image_id, segment, row FROM face WHERE id > ? ORDER BY id LIMIT ?",
                arguments: [Data(id?.bits.bytes ?? []), limit])
            return FoundRows(rows: rows.map(StateRow.init), applied: try Self.applied(database))
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

    func read<Value>(_ body: (Database) throws -> Value) throws(ReplicaError) -> Value {
        do { return try pool.read(body) } catch { throw ReplicaError.state(error, path: path) }
    }

    func write(_ body: (Database) throws -> Void) throws(ReplicaError) {
        do {
            try pool.write(body)
        } catch let error as ReplicaError {
            throw error
        } catch {
            throw ReplicaError.state(error, path: path)
        }
    }
}

/// Faces in FaceID order, and the log position they were read at.
struct FoundRows {
    var rows: [StateRow]
    var applied: LogIndex
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
