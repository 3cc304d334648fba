import FaceModel
import Foundation
import GRDB
import KeyHierarchy
import StorageIO

/// What the tables of a shard hold, as one number: the sum, modulo 2^128, of a hash of each row. In whatever order and
/// batches records were applied, copies that have applied the same have the same.
///
/// It finds what was applied otherwise than elsewhere, by a fault of program or memory. It is kept with each change, not
/// counted anew, so rows that a disk changed later are the scrub's affair, which counts anew; nor is it a defence against somebody who chooses
/// rows.
struct StateDigest: Equatable, Sendable {
    static let byteCount = 16
    private var sum: UInt128 = 0

    init() {}

    init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        sum = Self.number(bytes)
    }

    /// Big endian.
    var bytes: [UInt8] { withUnsafeBytes(of: sum.bigEndian) { Array($0) } }

    mutating func add(_ item: Item) { sum &+= item.hash }
    mutating func remove(_ item: Item) { sum &-= item.hash }

    /// One row, without what a copy derives for itself: where the vector stands, and which requests may be asked again.
    enum Item {
        case face(FaceID, FaceKey, ExternalImageID?, LeafID)
        /// How often a face key was deleted. None stands for never: that it lives is told by its face.
        case deletes(FaceKey, UInt32)
        case bucket(id: LeafID, parent: LeafID, centroid: [UInt8], at: LogIndex)
        case roots([LeafID])
        /// Of the shard; nothing stands for a whole one.
        case shardSplit(ShardSplitState)

        fileprivate var hash: UInt128 {
            StateDigest.number(Array(KeyedHash.sha256(framed).prefix(StateDigest.byteCount)))
        }

        private var framed: [UInt8] {
            switch self {
            case .face(let id, let key, let name, let leaf):
                KeyedHash.framed(
                    label: "facet state face v1",
                    parts: [id.bits.bytes, key.bytes, Array((name?.text ?? "").utf8), Self.bytes(UInt64(leaf.value))])
            case .deletes(let key, let count):
                KeyedHash.framed(label: "facet state deletes v1", parts: [key.bytes, Self.bytes(UInt64(count))])
            case .bucket(let id, let parent, let centroid, let index):
                KeyedHash.framed(
                    label: "facet state bucket v1",
                    parts: [
                        Self.bytes(UInt64(id.value)), Self.bytes(UInt64(parent.value)), centroid,
                        Self.bytes(index.value),
                    ])
            case .roots(let roots):
                KeyedHash.framed(label: "facet state roots v1", parts: roots.map { Self.bytes(UInt64($0.value)) })
            case .shardSplit(let split):
                KeyedHash.framed(label: "facet state shard split v1", parts: [split.bytes])
            }
        }

        private static func bytes(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    }

    private static func number(_ bytes: [UInt8]) -> UInt128 { bytes.reduce(0) { $0 << 8 | UInt128($1) } }
}

extension ShardState {
    /// Of everything applied.
    func digest() throws(ReplicaError) -> StateDigest { try read { try Self.digest($0) } }

    static func digest(_ database: Database) throws -> StateDigest {
        let bytes = try Data.fetchOne(database, sql: "SELECT digest FROM meta")
        guard let digest = StateDigest(bytes: [UInt8](bytes ?? Data())) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "the digest of the state cannot be read")
        }
        return digest
    }

    /// The same from every row there is.
    func recount() throws(ReplicaError) -> StateDigest { try read { try Self.recount($0) } }

    static func recount(_ database: Database) throws -> StateDigest {
        var digest = try recountWhole(database)
        if let split = try split(database) { digest.add(.shardSplit(split)) }
        return digest
    }

    /// The same of a shard that is not being split, as all were before version 6 of the state.
    static func recountWhole(_ database: Database) throws -> StateDigest {
        var digest = StateDigest()
        let faces = try Row.fetchCursor(database, sql: "SELECT id, key, external_image_id, leaf FROM face")
        while let row = try faces.next() {
            let id = FaceID(Bits128(bigEndian: row["id"] as Data))
            digest.add(face(id, row))
        }
        let keys = try Row.fetchCursor(database, sql: "SELECT key, count FROM face_key WHERE count > 0")
        while let row = try keys.next() {
            digest.add(.deletes(FaceKey(bytes: [UInt8](row["key"] as Data)), row["count"]))
        }
        let buckets = try Row.fetchCursor(database, sql: "SELECT id, parent, centroid, lsn FROM bucket")
        while let row = try buckets.next() {
            digest.add(
                .bucket(
                    id: LeafID(row["id"]), parent: LeafID(row["parent"]), centroid: [UInt8](row["centroid"] as Data),
                    at: LogIndex(UInt64(row["lsn"] as Int64))))
        }
        digest.add(.roots(try roots(database)))
        return digest
    }

    /// Of a row with `key`, `external_image_id` and `leaf`.
    static func face(_ id: FaceID, _ row: Row) -> StateDigest.Item {
        .face(
            id, FaceKey(bytes: [UInt8](row["key"] as Data)),
            (row["external_image_id"] as String?).flatMap(ExternalImageID.init), LeafID(row["leaf"]))
    }

    static func roots(_ database: Database) throws -> [LeafID] {
        let text = try String.fetchOne(database, sql: "SELECT roots FROM meta") ?? ""
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        let roots = fields.compactMap { UInt32($0).map(LeafID.init) }
        guard roots.count == fields.count else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "the subtree roots cannot be read")
        }
        return roots.sorted()
    }
}
