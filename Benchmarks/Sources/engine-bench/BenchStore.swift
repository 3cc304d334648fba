import FaceModel
import Foundation
import SegmentStore
import StorageIO
import VectorSearch

/// Segments in a folder of this disk, as a replica keeps them.
final class BenchStore {
    let directory: String
    private let identity: SegmentIdentity
    private var store: SegmentStore?
    private var written = LogIndex.zero

    /// Whatever stood in `directory` is removed, unless it is to be opened.
    init(directory: String, dimension: Int, opening: Bool = false) throws {
        self.directory = directory
        if !opening, FileManager.default.fileExists(atPath: directory) {
            try FileManager.default.removeItem(atPath: directory)
        }
        identity = SegmentIdentity(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 2)),
            shard: ShardID(Bits128(high: 0, low: 3)),
            dimension: dimension)
        store = try SegmentStore.open(directory: directory, identity: identity, on: POSIXFileSystem())
    }

    func remove() {
        do {
            try FileManager.default.removeItem(atPath: directory)
        } catch {
            say("\(directory) stays: \(error)")
        }
    }

    var diskBytes: Int { store?.diskBytes ?? 0 }

    func flush(_ rows: [SegmentRow]) throws {
        written = written.next
        guard let store else { preconditionFailure("a store that was closed takes no rows") }
        _ = try store.flush(rows, through: written)
    }

    func fill(from faces: BenchCollection, rowsPerSegment: Int) throws {
        for start in stride(from: 0, to: faces.count, by: rowsPerSegment) {
            try flush(
                (start..<min(start + rowsPerSegment, faces.count)).map { row in
                    SegmentRow(
                        id: faces.ids[row], leaf: .root, vector: faces.vector(row),
                        record: FaceRecord(imageID: nil, detail: nil))
                })
        }
    }

    /// Opened anew from its files.
    func reopened(mapsPlanes: Bool = false) throws -> SegmentStore {
        try SegmentStore.open(
            directory: directory, identity: identity, mapsPlanes: mapsPlanes, on: POSIXFileSystem())
    }

    /// Lets go of what is open; `reopened` opens it again.
    func close() { store = nil }

    func snapshot(of opened: SegmentStore) -> SearchSnapshot {
        var snapshot = SearchSnapshot(dimension: identity.dimension)
        for segment in opened.segments { snapshot.add(segment) }
        return snapshot
    }
}
