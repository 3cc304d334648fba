import FaceModel
import Foundation
import GRDB

/// Brings the state of a half that was drafted up with what was written since.
extension ShardState {
    /// Afterwards it is what `fill` would have made of the same snapshot. Where new rows stand it leaves open.
    func bring(_ half: HalfOfShard, over draft: HalvesDraft, from snapshot: StateSnapshot) throws(ReplicaError) {
        try write { database in
            var digest = try Self.digest(database)
            var balance = 0
            try snapshot.read { source in
                var changed = HalfChanges(half: half, source: source, target: database, digest: digest)
                try changed.faces(draft.changes.faces)
                try changed.keys(draft.changes.keys)
                try changed.buckets(after: draft.through)
                try changed.requests(after: draft.through)
                (digest, balance) = (changed.digest, changed.balance)
            }
            try database.execute(
                sql: "UPDATE meta SET applied = ?, faces = faces + ?, digest = ?",
                arguments: [Int64(half.through.value), balance, Data(digest.bytes)])
        }
    }
}

/// Copies rows of a shard's state, those that may have changed, to that of a half.
private struct HalfChanges {
    let half: HalfOfShard
    let source: Database
    let target: Database
    var digest: StateDigest
    /// How many more faces live.
    private(set) var balance = 0
    /// Of the faces that were copied.
    private var living: Set<Data> = []

    init(half: HalfOfShard, source: Database, target: Database, digest: StateDigest) {
        (self.half, self.source, self.target, self.digest) = (half, source, target, digest)
    }

    mutating func faces(_ ids: Set<FaceID>) throws {
        let remove = try target.cachedStatement(
            sql: "DELETE FROM face WHERE id = ? RETURNING key, external_image_id, leaf")
        let find = try source.cachedStatement(
            sql: "SELECT id, key, external_image_id, leaf, segment, row FROM face WHERE id = ?")
        let insert = try target.cachedStatement(
            sql: "INSERT INTO face (id, key, external_image_id, leaf) VALUES (?, ?, ?, ?)")
        for id in ids.sorted() {
            if let removed = try Row.fetchOne(remove, arguments: [Data(id.bits.bytes)]) {
                digest.remove(ShardState.face(id, removed))
                balance -= 1
            }
            guard let row = try Row.fetchOne(find, arguments: [Data(id.bits.bytes)]) else { continue }
            guard let place = StateRow(row).place else { throw ShardState.faceWithoutPlace }
            guard half.holds(place) else { continue }
            let (key, leaf) = (row["key"] as Data, half.leaf(LeafID(row["leaf"])))
            let name = row["external_image_id"] as String?
            try insert.execute(arguments: [row["id"] as Data, key, name, Int64(leaf.value)])
            digest.add(
                .face(id, FaceKey(bytes: [UInt8](key)), name.flatMap(ExternalImageID.init), leaf))
            living.insert(key)
            balance += 1
        }
    }

    /// After the faces: a key that lives is the half's that has its face; both know of one that does not.
    mutating func keys(_ keys: Set<FaceKey>) throws {
        let remove = try target.cachedStatement(sql: "DELETE FROM face_key WHERE key = ? RETURNING count")
        let find = try source.cachedStatement(sql: "SELECT count, live FROM face_key WHERE key = ?")
        let insert = try target.cachedStatement(sql: "INSERT INTO face_key (key, count, live) VALUES (?, ?, ?)")
        for key in keys {
            let bytes = Data(key.bytes)
            if let removed = try Row.fetchOne(remove, arguments: [bytes]), (removed["count"] as UInt32) > 0 {
                digest.remove(.deletes(key, removed["count"]))
            }
            guard let row = try Row.fetchOne(find, arguments: [bytes]) else { continue }
            let (count, lives) = (row["count"] as UInt32, row["live"] as Bool)
            guard !lives || living.contains(bytes) else { continue }
            try insert.execute(arguments: [bytes, Int64(count), lives])
            if count > 0 { digest.add(.deletes(key, count)) }
        }
    }

    /// There are only ever more.
    mutating func buckets(after index: LogIndex) throws {
        for row in try ShardState.copyBuckets(half, after: index, source, target) { digest.add(row) }
    }

    func requests(after index: LogIndex) throws {
        try ShardState.copyRequests(source, target, after: index)
        try ShardState.forgetRequests(before: half.through, in: target)
    }
}
