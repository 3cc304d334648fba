package import FaceModel
import StorageIO
package import VectorSearch

/// An immutable segment, checked as a whole when it was opened: vectors and ids decoded in memory, bit planes made from
/// the vectors, records compressed in memory and decoded a block at a time. It needs its file no more, which may be
/// removed while a snapshot holds it.
package final class Segment: Sendable {
    /// Rows of one leaf that stand together.
    package struct LeafRows: Hashable, Sendable {
        package let leaf: LeafID
        package internal(set) var rows: Range<Int>
    }

    /// A block of records as it stands in the file.
    struct RecordBlock: Hashable, Sendable {
        var firstRow: Int
        var rows: Int
        var entry: BlockEntry
        var stored: [UInt8]
        /// Of the block in the file, and its number in its column.
        var offset: Int
        var block: Int
    }

    package let path: String
    package let number: UInt64
    package let fileBytes: Int
    /// The log records whose rows may be here.
    package let firstLSN: LogIndex
    package let lastLSN: LogIndex
    package let dimension: Int
    /// By row; rising within a leaf.
    package let ids: [FaceID]
    /// By rising leaf, each once.
    package let leaves: [LeafRows]
    /// `count` x `dimension`, a row after another.
    let vectors: AlignedFloats
    /// Of the rows that fill whole tiles.
    let planes: PlaneBlock
    private let recordBlocks: [RecordBlock]

    init(
        path: String, header: SegmentHeader, fileBytes: Int, ids: [FaceID], leaves: [LeafRows],
        vectors: AlignedFloats, recordBlocks: [RecordBlock]
    ) {
        self.path = path
        number = header.number
        self.fileBytes = fileBytes
        firstLSN = header.firstLSN
        lastLSN = header.lastLSN
        dimension = header.identity.dimension
        self.ids = ids
        self.leaves = leaves
        self.vectors = vectors
        planes = PlaneBlock(code: PlaneCode(dimension: dimension), encoding: vectors.base, count: ids.count)
        self.recordBlocks = recordBlocks
    }

    /// Rows, dead ones included.
    package var count: Int { ids.count }

    package var residentBytes: Int {
        vectors.bytes + planes.bytes + ids.count * MemoryLayout<FaceID>.stride
            + recordBlocks.reduce(0) { $0 + $1.stored.count }
    }

    package func id(_ row: Int) -> FaceID { ids[row] }

    package func leaf(_ row: Int) -> LeafID {
        precondition((0..<count).contains(row), "a row beyond the segment")
        return leaves[leaves.partitionPoint { $0.rows.upperBound > row }].leaf
    }

    /// Rows, dead ones included, that were written under one of `leaves`.
    package func rows(under leaves: Set<LeafID>) -> Int {
        leaves.isEmpty ? 0 : self.leaves.reduce(0) { $0 + (leaves.contains($1.leaf) ? $1.rows.count : 0) }
    }

    /// Throws `damaged` when the block that holds it fails its checksum or does not decode.
    package func vector(_ row: Int) throws(SegmentError) -> RotatedVector {
        precondition((0..<count).contains(row), "a row beyond the segment")
        let values = UnsafeBufferPointer(start: vectors.base + row * dimension, count: dimension)
        return RotatedVector(rotated: Array(values))
    }

    /// Throws `damaged` when the block that holds it fails its checksum or does not decode.
    package func record(_ row: Int) throws(SegmentError) -> FaceRecord {
        precondition((0..<count).contains(row), "a row beyond the segment")
        let block = recordBlocks[recordBlock(of: row)]
        let raw = try rawRecords(block)
        guard let record = FaceRecordCodec.decodeBlock(raw, only: row - block.firstRow) else {
            throw damaged(block, "block contents")
        }
        return record
    }

    /// The row of a face, dead or not; a binary search in each leaf.
    package func row(of id: FaceID) -> Int? {
        for run in leaves {
            let start = run.rows.lowerBound
            let at = start + firstIndex(run.rows.count) { ids[start + $0] >= id }
            if at < run.rows.upperBound, ids[at] == id { return at }
        }
        return nil
    }

    /// The rows of those of `faces` that are here.
    package func rows(of faces: [FaceID]) -> RowBitmap {
        var rows = RowBitmap()
        for face in faces {
            if let row = row(of: face) { rows.insert(row) }
        }
        return rows
    }

    // MARK: Blocks of records

    func recordBlock(of row: Int) -> Int {
        recordBlocks.partitionPoint { $0.firstRow + $0.rows > row }
    }

    func firstRow(ofRecordBlock block: Int) -> Int { recordBlocks[block].firstRow }

    func recordsOfBlock(_ index: Int) throws(SegmentError) -> [FaceRecord] {
        let block = recordBlocks[index]
        guard let records = FaceRecordCodec.decodeBlock(try rawRecords(block), count: block.rows) else {
            throw damaged(block, "block contents")
        }
        return records
    }

    private func rawRecords(_ block: RecordBlock) throws(SegmentError) -> [UInt8] {
        guard checksum(block.stored[...]) == block.entry.checksum else { throw damaged(block, "block checksum") }
        guard let raw = block.entry.decoded(block.stored, elementBytes: 1) else {
            throw damaged(block, "block contents")
        }
        return raw
    }

    private func damaged(_ block: RecordBlock, _ reason: String) -> SegmentError {
        .damaged(path: path, offset: block.offset, block: block.block, reason: reason)
    }

    /// The first of 0 ..< `count` for which `isPast` holds, `count` if none; once true it stays true.
    private func firstIndex(_ count: Int, isPast: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isPast(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
