package import FaceModel
import StorageIO
import VectorSearch

/// A merge that can run on any thread: it holds what it reads and writes one new file that no manifest names yet.
package struct CompactionJob: Sendable {
    /// Where a row that was written under a leaf stands now: the same leaf, or one below it.
    package typealias Rehoming = @Sendable (LeafID, RotatedVector) -> LeafID

    let inputs: [Segment]
    let dead: [RowBitmap]
    /// Leaves that have children by now: their rows are asked for where they stand.
    let split: Set<LeafID>
    let rehome: Rehoming
    let number: UInt64
    let identity: SegmentIdentity
    let directory: String
    let mapsPlanes: Bool
    let files: any FileSystem

    package var inputNumbers: [UInt64] { inputs.map(\.number) }

    /// Writes the live rows of the inputs, bit for bit, each under its present leaf, to a new segment and opens it. Long;
    /// touches no shared state. On an error the inputs are as they were, and what was written is removed by the next
    /// open.
    package func merge() throws(SegmentError) -> MergedSegment {
        let order = try liveRows().sorted()
        guard !order.isEmpty, let first = inputs.map(\.firstLSN).min(), let last = inputs.map(\.lastLSN).max() else {
            return MergedSegment(inputs: inputNumbers, segment: nil, footerChecksum: 0)
        }
        var cursors = inputs.map(MergeCursor.init)
        let file = SegmentFile(
            directory: directory, identity: identity, number: number, mapsPlanes: mapsPlanes, files: files)
        let (segment, checksum) = try file.write(firstLSN: first, lastLSN: last) { writer throws(SegmentError) in
            for row in order { try writer.append(try cursors[row.input].take(row)) }
        }
        return MergedSegment(inputs: inputNumbers, segment: segment, footerChecksum: checksum)
    }

    private func liveRows() throws(SegmentError) -> [MergeRow] {
        var rows: [MergeRow] = []
        rows.reserveCapacity(zip(inputs, dead).reduce(0) { $0 + $1.0.count - $1.1.count })
        for (input, segment) in inputs.enumerated() {
            for run in segment.leaves {
                let strays = split.contains(run.leaf)
                for row in run.rows where !dead[input].contains(row) {
                    let leaf = strays ? rehome(run.leaf, try segment.vector(row)) : run.leaf
                    rows.append(MergeRow(leaf: leaf, id: segment.ids[row], input: input, row: row))
                }
            }
        }
        return rows
    }
}

/// A finished merge, to be installed by the store's owner.
package struct MergedSegment: Sendable {
    package let inputs: [UInt64]
    /// Nil when no row of the inputs was live.
    package let segment: Segment?
    let footerChecksum: UInt32
}

/// A row on its way from an input to its place in the merged segment.
struct MergeRow: Comparable {
    var leaf: LeafID
    var id: FaceID
    var input: Int
    var row: Int

    static func < (a: MergeRow, b: MergeRow) -> Bool { (a.leaf, a.id) < (b.leaf, b.id) }
}

/// Reads one input's rows; holds one decoded block of records, for rows that stay under their leaf come in order.
struct MergeCursor {
    private let segment: Segment
    private var block: (index: Int, records: [FaceRecord])?

    init(_ segment: Segment) { self.segment = segment }

    mutating func take(_ wanted: MergeRow) throws(SegmentError) -> SegmentRow {
        let index = segment.recordBlock(of: wanted.row)
        let records: [FaceRecord]
        if let block, block.index == index {
            records = block.records
        } else {
            records = try segment.recordsOfBlock(index)
            block = (index, records)
        }
        return SegmentRow(
            id: wanted.id, leaf: wanted.leaf, vector: try segment.vector(wanted.row),
            record: records[wanted.row - segment.firstRow(ofRecordBlock: index)])
    }
}
