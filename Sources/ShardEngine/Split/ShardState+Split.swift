import ClusterModel
import FaceModel
import Foundation
import GRDB
import VectorSearch

/// How far a shard's split is, and the states of its halves.
extension ShardState {
    /// Nil where the shard is whole.
    func split() throws(ReplicaError) -> ShardSplitState? { try read { try Self.split($0) } }

    static func split(_ database: Database) throws -> ShardSplitState? {
        let bytes = [UInt8](try Data.fetchOne(database, sql: "SELECT split FROM meta") ?? Data())
        guard !bytes.isEmpty else { return nil }
        guard let split = ShardSplitState(bytes: bytes) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "the shard's split cannot be read")
        }
        return split
    }

    static func applySplit(_ change: Change, to database: Database, _ digest: inout StateDigest) throws {
        let before = try split(database)
        guard let after = try before.following(change) else { return try put(nil, database, before, &digest) }
        try put(after, database, before, &digest)
    }

    private static func put(
        _ split: ShardSplitState?, _ database: Database, _ before: ShardSplitState?, _ digest: inout StateDigest
    ) throws {
        if let before { digest.remove(.shardSplit(before)) }
        if let split { digest.add(.shardSplit(split)) }
        try database.execute(sql: "UPDATE meta SET split = ?", arguments: [Data(split?.bytes ?? [])])
    }

    /// Fills this state, which is new, with what `snapshot` holds of one half. Where rows stand it leaves open.
    func fill(_ half: HalfOfShard, from snapshot: StateSnapshot) throws(ReplicaError) {
        try write { database in
            var faces = 0
            try snapshot.read { source in
                faces = try Self.copyFaces(half, source, database)
                try Self.copyTombstones(source, database)
                // Nobody can say at which half a request will be asked again.
                try Self.copyRequests(source, database)
                try Self.copyBuckets(half, source, database)
            }
            try database.execute(
                sql: "UPDATE meta SET applied = ?, faces = ?, roots = ?",
                arguments: [Int64(half.end.index.value), faces, String(half.root.value)])
            try database.execute(
                sql: "UPDATE meta SET digest = ?", arguments: [Data(try Self.recount(database).bytes)])
        }
    }

    private static func copyFaces(_ half: HalfOfShard, _ source: Database, _ target: Database) throws -> Int {
        let rows = try Row.fetchCursor(
            source,
            sql: """
                SELECT id, key, external_image_id, leaf, segment, row, count FROM face JOIN face_key USING (key)
                ORDER BY id
                """)
        let face = try target.cachedStatement(
            sql: "INSERT INTO face (id, key, external_image_id, leaf) VALUES (?, ?, ?, ?)")
        let key = try target.cachedStatement(sql: "INSERT INTO face_key (key, count, live) VALUES (?, ?, 1)")
        var count = 0
        while let row = try rows.next() {
            guard let place = StateRow(row).place else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a face of a flushed shard has no place")
            }
            guard half.holds(place) else { continue }
            let leaf = half.leaf(LeafID(row["leaf"]))
            try face.execute(arguments: [
                row["id"] as Data, row["key"] as Data, row["external_image_id"] as String?, Int64(leaf.value),
            ])
            try key.execute(arguments: [row["key"] as Data, row["count"] as Int64])
            count += 1
        }
        return count
    }

    /// Nobody can say to which half a face that is gone belonged: both know that it was.
    private static func copyTombstones(_ source: Database, _ target: Database) throws {
        let keys = try Row.fetchCursor(source, sql: "SELECT key, count FROM face_key WHERE live = 0")
        let key = try target.cachedStatement(sql: "INSERT INTO face_key (key, count, live) VALUES (?, ?, 0)")
        while let row = try keys.next() { try key.execute(arguments: [row["key"] as Data, row["count"] as Int64]) }
    }

    private static func copyBuckets(_ half: HalfOfShard, _ source: Database, _ target: Database) throws {
        let rows = try Row.fetchCursor(source, sql: "SELECT id, parent, centroid, lsn FROM bucket ORDER BY id")
        let bucket = try target.cachedStatement(
            sql: "INSERT INTO bucket (id, parent, centroid, lsn) VALUES (?, ?, ?, ?)")
        while let row = try rows.next() {
            guard half.tree.isBelow(LeafID(row["id"]), half.child) else { continue }
            try bucket.execute(arguments: [
                row["id"] as Int64, Int64(half.leaf(LeafID(row["parent"])).value), row["centroid"] as Data,
                row["lsn"] as Int64,
            ])
        }
    }
}

extension ShardSplitState? {
    /// What becomes of a shard's split by a record; one that cannot follow is the log's fault.
    func following(_ change: Change) throws -> ShardSplitState? {
        switch (self, change) {
        case (nil, .shardSplit(let begun)): return begun
        case (var split?, .splitReleased):
            split.stage = .released
            return split
        case (let split?, .splitAborted) where split.stage == .dividing: return nil
        default:
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a record of a split that was not under way")
        }
    }
}
