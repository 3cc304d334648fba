import FaceModel
import Foundation
import GRDB
import StorageIO
import VectorSearch

/// The tree of buckets as `state.sqlite` keeps it: one row a child of every split.
extension ShardState {
    /// The tree at the applied index. Throws `damagedState` where rows do not follow on each other.
    func tree(dimension: Int) throws(ReplicaError) -> DatedTree {
        var tree = DatedTree(roots: try roots())
        let rows = try read { database in
            try Row.fetchAll(database, sql: "SELECT id, parent, centroid, lsn FROM bucket ORDER BY id").map(Child.init)
        }
        guard rows.count.isMultiple(of: 2) else { throw damagedTree }
        for (first, second) in zip(rows.indices, rows.indices.dropFirst()) where first.isMultiple(of: 2) {
            let (first, second) = (rows[first], rows[second])
            guard let one = first.centroid(dimension), let other = second.centroid(dimension) else { throw damagedTree }
            let split = BucketSplit(parent: first.parent, children: (first.id, second.id), centroids: (one, other))
            guard first.parent == second.parent, first.index == second.index, first.index > tree.index,
                tree.tree.accepts(split)
            else { throw damagedTree }
            tree.apply(split, at: first.index)
        }
        return tree
    }

    private var damagedTree: ReplicaError {
        .damagedState(path: path, reason: "the tree of buckets does not fit together")
    }

    /// Returns what the new rows are.
    static func apply(
        _ split: BucketSplit, at index: LogIndex, to database: Database
    ) throws -> [StateDigest.Item] {
        var rows: [StateDigest.Item] = []
        let statement = try database.cachedStatement(
            sql: "INSERT INTO bucket (id, parent, centroid, lsn) VALUES (?, ?, ?, ?)")
        for (id, centroid) in [(split.children.0, split.centroids.0), (split.children.1, split.centroids.1)] {
            var writer = ByteWriter(reserving: 4 * centroid.dimension)
            for value in centroid.values { writer.put(value) }
            try statement.execute(arguments: [
                Int64(id.value), Int64(split.parent.value), Data(writer.bytes), Int64(index.value),
            ])
            rows.append(.bucket(id: id, parent: split.parent, centroid: writer.bytes, at: index))
        }
        return rows
    }
}

private struct Child {
    var id: LeafID
    var parent: LeafID
    var index: LogIndex
    private var bytes: [UInt8]

    init(_ row: Row) {
        id = LeafID(row["id"])
        parent = LeafID(row["parent"])
        index = LogIndex(UInt64(row["lsn"] as Int64))
        bytes = [UInt8](row["centroid"] as Data)
    }

    /// Nil unless it has the collection's dimension and is a direction.
    func centroid(_ dimension: Int) -> RotatedVector? {
        guard bytes.count == 4 * dimension else { return nil }
        var reader = ByteReader(bytes)
        return try? reader.vector(dimension)
    }
}
