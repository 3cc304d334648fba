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

    /// Fills this state, which is new, with what `snapshot` holds of one half. Where rows stand it leaves open. Long;
    /// `isWanted` throws where it is in vain.
    func fill(
        _ half: HalfOfShard, from snapshot: StateSnapshot, isWanted: () throws(ReplicaError) -> Void
    ) throws(ReplicaError) {
        try write { database in
            var faces = 0
            try snapshot.read { source in
                faces = try Self.copyFaces(half, source, database, isWanted)
                try Self.copyTombstones(source, database)
                // Nobody can say at which half a request will be asked again.
                try Self.copyRequests(source, database)
                _ = try Self.copyBuckets(half, source, database)
            }
            try database.execute(
                sql: "UPDATE meta SET applied = ?, faces = ?, roots = ?",
                arguments: [Int64(half.through.value), faces, String(half.root.value)])
            try database.execute(
                sql: "UPDATE meta SET digest = ?", arguments: [Data(try Self.recount(database).bytes)])
        }
    }

    private static func copyFaces(
        _ half: HalfOfShard, _ source: Database, _ target: Database, _ isWanted: () throws(ReplicaError) -> Void
    ) throws -> Int {
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
            try isWanted()
            guard let place = StateRow(row).place else { throw Self.faceWithoutPlace }
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

    static var faceWithoutPlace: DatabaseError {
        DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a face of a flushed shard has no place")
    }

    /// Nobody can say to which half a face that is gone belonged: both know that it was.
    private static func copyTombstones(_ source: Database, _ target: Database) throws {
        let keys = try Row.fetchCursor(source, sql: "SELECT key, count FROM face_key WHERE live = 0")
        let key = try target.cachedStatement(sql: "INSERT INTO face_key (key, count, live) VALUES (?, ?, 0)")
        while let row = try keys.next() { try key.execute(arguments: [row["key"] as Data, row["count"] as Int64]) }
    }

    /// Returns what the new rows are.
    static func copyBuckets(
        _ half: HalfOfShard, after index: LogIndex = .zero, _ source: Database, _ target: Database
    ) throws -> [StateDigest.Item] {
        var items: [StateDigest.Item] = []
        let rows = try Row.fetchCursor(
            source, sql: "SELECT id, parent, centroid, lsn FROM bucket WHERE lsn > ? ORDER BY id",
            arguments: [Int64(index.value)])
        let bucket = try target.cachedStatement(
            sql: "INSERT INTO bucket (id, parent, centroid, lsn) VALUES (?, ?, ?, ?)")
        while let row = try rows.next() {
            guard half.tree.isBelow(LeafID(row["id"]), half.child) else { continue }
            let parent = half.leaf(LeafID(row["parent"]))
            let (id, centroid, lsn) = (row["id"] as Int64, row["centroid"] as Data, row["lsn"] as Int64)
            try bucket.execute(arguments: [id, Int64(parent.value), centroid, lsn])
            items.append(
                .bucket(
                    id: LeafID(UInt32(id)), parent: parent, centroid: [UInt8](centroid), at: LogIndex(UInt64(lsn))))
        }
        return items
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
