import FaceModel
import StorageIO
import VectorSearch

/// What the compaction planner knows of a segment.
package struct SegmentWeight: Hashable, Sendable {
    package var number: UInt64
    package var rows: Int
    package var dead: Int
    package init(number: UInt64, rows: Int, dead: Int) {
        self.number = number
        self.rows = rows
        self.dead = dead
    }
    var live: Int { rows - dead }
}

/// Which segments to merge into one, decided from sizes alone.
package enum CompactionPlanner {
    /// A segment with more than a quarter of its rows dead is written anew.
    static let deadShare = 4
    /// So many segments of one size class are merged: classes grow by the same factor.
    static let fanIn = 4
    private static let smallestClassRows = 1_024

    /// The numbers to merge, rising, or nil when nothing is due. Their live rows fit one segment.
    ///
    /// Segments with too many dead rows come first, together; then the smallest size class that is full (size-tiered,
    /// so that a row is written again only each time its segment grows fourfold).
    package static func plan(_ segments: [SegmentWeight]) -> [UInt64]? {
        let worn = fitting(segments.filter { $0.dead * deadShare > $0.rows })
        if !worn.isEmpty { return numbers(worn) }
        let classes = Dictionary(grouping: segments) { sizeClass($0.live) }
        for members in classes.sorted(by: { $0.key < $1.key }).map(\.value) where members.count >= fanIn {
            let chosen = fitting(members)
            if chosen.count > 1 { return numbers(chosen) }
        }
        return nil
    }

    private static func sizeClass(_ live: Int) -> Int {
        var (rows, result) = (smallestClassRows, 0)
        while rows < live {
            rows *= fanIn
            result += 1
        }
        return result
    }

    /// As many as fit one segment, the smallest first.
    private static func fitting(_ segments: [SegmentWeight]) -> [SegmentWeight] {
        var room = Limits.segmentFacesMax
        return segments.sorted { ($0.live, $0.number) < ($1.live, $1.number) }.prefix { segment in
            room -= segment.live
            return room >= 0
        }
    }

    private static func numbers(_ segments: [SegmentWeight]) -> [UInt64] { segments.map(\.number).sorted() }
}

/// A merge that can run on any thread: it holds what it reads and writes one new file that no manifest names yet.
package struct CompactionJob: Sendable {
    let inputs: [Segment]
    let dead: [RowBitmap]
    let number: UInt64
    let identity: SegmentIdentity
    let directory: String
    let files: any FileSystem

    package var inputNumbers: [UInt64] { inputs.map(\.number) }

    /// Writes the live rows of the inputs, bit for bit, to a new segment and opens it. Long; touches no shared state.
    /// On an error the inputs are as they were, and what was written is removed by the next open.
    package func merge() throws(SegmentError) -> MergedSegment {
        var cursors = zip(inputs, dead).map { MergeCursor($0, dead: $1) }
        let live = zip(inputs, dead).reduce(0) { $0 + $1.0.count - $1.1.count }
        guard live > 0, let first = inputs.map(\.firstLSN).min(), let last = inputs.map(\.lastLSN).max() else {
            return MergedSegment(inputs: inputNumbers, segment: nil, footerChecksum: 0)
        }
        let file = SegmentFile(directory: directory, identity: identity, number: number, files: files)
        let (segment, checksum) = try file.write(firstLSN: first, lastLSN: last) { writer throws(SegmentError) in
            while let next = Self.leastCursor(cursors) {
                try writer.append(try cursors[next].take())
            }
        }
        return MergedSegment(inputs: inputNumbers, segment: segment, footerChecksum: checksum)
    }

    private static func leastCursor(_ cursors: [MergeCursor]) -> Int? {
        var least: (index: Int, key: (LeafID, FaceID))?
        for (index, cursor) in cursors.enumerated() {
            guard let key = cursor.key else { continue }
            if least.map({ key < $0.key }) ?? true { least = (index, key) }
        }
        return least?.index
    }
}

/// A finished merge, to be installed by the store's owner.
package struct MergedSegment: Sendable {
    package let inputs: [UInt64]
    /// Nil when no row of the inputs was live.
    package let segment: Segment?
    let footerChecksum: UInt32
}

/// The live rows of one input, in order; holds one decoded block of records.
private struct MergeCursor {
    private let segment: Segment
    private let dead: RowBitmap
    private var row = 0
    private var block: (index: Int, records: [FaceRecord])?

    init(_ segment: Segment, dead: RowBitmap) {
        self.segment = segment
        self.dead = dead
        skipDead()
    }

    /// Of the next row; nil at the end.
    var key: (LeafID, FaceID)? { row < segment.count ? (segment.leaf(row), segment.ids[row]) : nil }

    mutating func take() throws(SegmentError) -> SegmentRow {
        let index = segment.recordBlock(of: row)
        let records: [FaceRecord]
        if let block, block.index == index {
            records = block.records
        } else {
            records = try segment.recordsOfBlock(index)
            block = (index, records)
        }
        let taken = SegmentRow(
            id: segment.ids[row], leaf: segment.leaf(row), vector: segment.vector(row),
            record: records[row - segment.firstRow(ofRecordBlock: index)])
        row += 1
        skipDead()
        return taken
    }

    private mutating func skipDead() {
        while row < segment.count, dead.contains(row) { row += 1 }
    }
}
