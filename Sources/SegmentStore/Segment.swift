package import FaceModel
import StorageIO
package import VectorSearch

/// An immutable segment: ids and bit planes in memory, or planes that not every search reads in its mapped file; vectors
/// and records in the file, read a block at a time, each block checked whenever it is read. The file stays open, so that
/// it may be removed while a snapshot holds the segment.
package final class Segment: Sendable {
    /// Rows of one leaf that stand together.
    package struct LeafRows: Hashable, Sendable {
        package let leaf: LeafID
        package internal(set) var rows: Range<Int>
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
    /// Of every row; the last tile may hold rows that are none.
    let planes: PlaneBlock
    private let vectors: StoredVectors
    private let recordBlocks: [BlockPlace]
    let file: BlockFile

    init(_ contents: SegmentContents, planes: PlaneBlock, header: SegmentHeader, fileBytes: Int, file: BlockFile) {
        path = file.path
        number = header.number
        self.fileBytes = fileBytes
        firstLSN = header.firstLSN
        lastLSN = header.lastLSN
        dimension = header.identity.dimension
        ids = contents.ids
        leaves = contents.leaves
        vectors = contents.vectors
        self.planes = planes
        recordBlocks = contents.recordBlocks
        self.file = file
    }

    /// Rows, dead ones included.
    package var count: Int { ids.count }

    /// Planes that are mapped: memory that the system fills from the file, and takes back when it needs room.
    package var mappedBytes: Int { planes.lentBytes }

    /// Planes that are not mapped, ids, and the tables that say where blocks stand.
    package var residentBytes: Int {
        planes.bytes + ids.count * MemoryLayout<FaceID>.stride + vectors.bytes
            + recordBlocks.count * MemoryLayout<BlockPlace>.stride + leaves.count * MemoryLayout<LeafRows>.stride
    }

    /// Keeps what every search reads in memory as long as the segment lives; the errno where the system refuses.
    package func lockFirstScan() -> Int32? { planes.lockFirstScan() }

    package func id(_ row: Int) -> FaceID { ids[row] }

    package func leaf(_ row: Int) -> LeafID {
        precondition((0..<count).contains(row), "a row beyond the segment")
        return leaves[leaves.partitionPoint { $0.rows.upperBound > row }].leaf
    }

    /// Rows, dead ones included, that were written under one of `leaves`.
    package func rows(under leaves: Set<LeafID>) -> Int {
        leaves.isEmpty ? 0 : self.leaves.reduce(0) { $0 + (leaves.contains($1.leaf) ? $1.rows.count : 0) }
    }

    /// Of the file.
    package var name: String { Manifest.name(number) }

    /// Bytes of the file as they stand, also when its name is gone. Any thread may read.
    package func bytes(_ count: Int, at offset: Int) throws(SegmentError) -> [UInt8] {
        try file.bytes(count, at: offset)
    }

    /// Throws `damaged` when the block that holds it fails its checksum or does not decode.
    package func vector(_ row: Int) throws(SegmentError) -> RotatedVector {
        precondition((0..<count).contains(row), "a row beyond the segment")
        var values = [Float](repeating: 0, count: dimension)
        var wanted = row
        var failure: SegmentError?
        values.withUnsafeMutableBufferPointer { values in
            withUnsafePointer(to: &wanted) { wanted in
                guard let base = values.baseAddress else { return }
                do throws(SegmentError) {
                    try read(UnsafeBufferPointer(start: wanted, count: 1), to: base)
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
        return RotatedVector(rotated: values)
    }

    /// Calls `body` with the ids where they stand.
    func withIDs<Value>(
        _ body: (UnsafePointer<FaceID>) throws(SegmentError) -> Value
    ) throws(SegmentError) -> Value {
        let result = ids.withUnsafeBufferPointer { ids -> Result<Value, SegmentError> in
            guard let first = ids.baseAddress else { preconditionFailure("a segment has rows") }
            do throws(SegmentError) { return .success(try body(first)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Reads the vectors of `rows`, 64 at most, one after another. Throws `damaged` when a block that holds one fails its
    /// checksum or does not decode.
    package func read(
        _ rows: UnsafeBufferPointer<Int>, to floats: UnsafeMutablePointer<Float>
    ) throws(SegmentError) {
        try vectors.read(rows, from: file, to: floats)
    }

    /// Throws `damaged` when the block that holds it fails its checksum or does not decode.
    package func record(_ row: Int) throws(SegmentError) -> FaceRecord {
        precondition((0..<count).contains(row), "a row beyond the segment")
        let block = recordBlocks[recordBlock(of: row)]
        let raw = try file.raw(block, elementBytes: 1)
        guard let record = FaceRecordCodec.decodeBlock(raw, only: row - block.firstRow) else {
            throw file.damaged(block, "block contents")
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
        let raw = try file.raw(block, elementBytes: 1)
        guard let records = FaceRecordCodec.decodeBlock(raw, count: block.rows) else {
            throw file.damaged(block, "block contents")
        }
        return records
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
