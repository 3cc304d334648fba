package import FaceModel
import StorageIO

/// Writes a segment anew whose file is rotten: what the file no longer gives comes from elsewhere. It can run on any
/// thread, and writes one new file that no manifest names yet.
package struct RepairJob: Sendable {
    /// A live row of the segment.
    package struct Row: Hashable, Comparable, Sendable {
        package var leaf: LeafID
        package var id: FaceID
        /// In the rotten file.
        package var row: Int

        package init(leaf: LeafID, id: FaceID, row: Int) {
            self.leaf = leaf
            self.id = id
            self.row = row
        }

        package static func < (a: Row, b: Row) -> Bool { (a.leaf, a.id) < (b.leaf, b.id) }
    }

    /// Those of the faces that can be had, under whatever leaf.
    package typealias Supply = ([FaceID]) -> [FaceID: SegmentRow]

    /// Rows that are looked at together.
    private static let rowsPerStep = 1_024

    package let rotten: UInt64
    /// Nil where not even the tables can be read that say where rows stand.
    let segment: Segment?
    /// What is wrong with the file.
    let fault: SegmentError
    let flushedThrough: LogIndex
    let number: UInt64
    let identity: SegmentIdentity
    let directory: String
    let mapsPlanes: Bool
    let files: any FileSystem

    /// Writes `rows`, each under its leaf, to a new segment and opens it. Long; touches no shared state. Throws the segment's
    /// fault where a row can be had nowhere, or where the segment is not wanted any more, and what else goes wrong; what was
    /// written is then removed by the next open, or after `abandon`.
    package func write(
        _ rows: [Row], isWanted: () -> Bool = { true }, supply: Supply
    ) throws(SegmentError) -> RepairedSegment {
        guard !rows.isEmpty else {
            return RepairedSegment(
                merged: MergedSegment(inputs: [rotten], segment: nil, footerChecksum: 0), supplied: 0)
        }
        let order = rows.sorted()
        var cursor = segment.map(MergeCursor.init)
        var supplied = 0
        let file = SegmentFile(
            directory: directory, identity: identity, number: number, mapsPlanes: mapsPlanes, files: files)
        let (written, checksum) = try file.write(
            firstLSN: segment?.firstLSN ?? min(LogIndex(1), flushedThrough), lastLSN: segment?.lastLSN ?? flushedThrough
        ) { writer throws(SegmentError) in
            for start in stride(from: 0, to: order.count, by: Self.rowsPerStep) {
                guard isWanted() else { throw fault }
                let step = order[start..<min(start + Self.rowsPerStep, order.count)]
                let found = try read(step, &cursor)
                let missing = step.filter { found[$0.id] == nil }.map(\.id)
                let rest = missing.isEmpty ? [:] : supply(missing)
                supplied += missing.count
                for row in step {
                    guard var whole = found[row.id] ?? rest[row.id] else { throw fault }
                    whole.leaf = row.leaf
                    try writer.append(whole)
                }
            }
        }
        return RepairedSegment(
            merged: MergedSegment(inputs: [rotten], segment: written, footerChecksum: checksum), supplied: supplied)
    }

    /// The rows that the rotten file still gives.
    private func read(
        _ rows: ArraySlice<Row>, _ cursor: inout MergeCursor?
    ) throws(SegmentError) -> [FaceID: SegmentRow] {
        var found: [FaceID: SegmentRow] = [:]
        guard let segment else { return found }
        for row in rows where row.row < segment.count && segment.ids[row.row] == row.id {
            do throws(SegmentError) {
                found[row.id] = try cursor?.take(MergeRow(leaf: row.leaf, id: row.id, input: 0, row: row.row))
            } catch {
                guard error.rottenSegment != nil else { throw error }
            }
        }
        return found
    }
}

/// A finished repair, to be installed by the store's owner.
package struct RepairedSegment: Sendable {
    package let merged: MergedSegment
    /// Faces that the rotten file did not give.
    package let supplied: Int
}

extension SegmentStore {
    /// Begins the repair of a segment that the manifest names. The caller repairs one at a time, and merges none meanwhile.
    package func beginRepair(of rotten: UInt64, for fault: SegmentError) -> RepairJob {
        precondition(names(rotten), "a repair is of a segment of this store")
        return RepairJob(
            rotten: rotten, segment: segments.first { $0.number == rotten }, fault: fault,
            flushedThrough: flushedThrough, number: takeNumber(), identity: manifest.identity, directory: directory,
            mapsPlanes: mapsPlanes, files: files)
    }

    /// As of a `CompactionJob`.
    package func abandon(_ job: RepairJob) { markUnused(job.number) }

    /// Whether the manifest names it.
    package func names(_ number: UInt64) -> Bool { manifest.segments.contains { $0.number == number } }

    /// By rising number, those that could not be opened among them.
    package var numbers: [UInt64] { manifest.segments.map(\.number) }
}
