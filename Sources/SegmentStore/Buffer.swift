package import FaceModel
import VectorSearch

// Rows that no segment holds yet, up to 1,024 of them: filled once from the front, never changed.
// Safe because one thread appends, rows below a count that was handed on never change, and the count reaches readers
// through the lock that publishes their snapshot.
final class BufferChunk: @unchecked Sendable {
    static let capacity = 1_024

    let vectors: AlignedFloats
    /// Of each whole tile of the rows below the count.
    let planes: PlaneBlock
    let ids: UnsafeMutablePointer<FaceID>
    private let leaves: UnsafeMutablePointer<LeafID>
    private let records: UnsafeMutablePointer<FaceRecord>
    /// Read by the appending thread, and when no reference is left.
    private var filled = 0

    init(dimension: Int) {
        vectors = AlignedFloats(count: Self.capacity * dimension)
        planes = PlaneBlock(code: PlaneCode(dimension: dimension), rows: Self.capacity)
        ids = .allocate(capacity: Self.capacity)
        leaves = .allocate(capacity: Self.capacity)
        records = .allocate(capacity: Self.capacity)
    }

    deinit {
        records.deinitialize(count: filled)
        ids.deallocate()
        leaves.deallocate()
        records.deallocate()
    }

    func append(_ row: SegmentRow) {
        let dimension = row.vector.dimension
        row.vector.values.withUnsafeBufferPointer { values in
            guard let source = values.baseAddress else { return }
            (vectors.base + filled * dimension).update(from: source, count: dimension)
        }
        (ids + filled).initialize(to: row.id)
        (leaves + filled).initialize(to: row.leaf)
        (records + filled).initialize(to: row.record)
        filled += 1
        // Before any reader is told of the row that fills the tile.
        if filled.isMultiple(of: PlaneCode.tileRows) {
            let first = filled - PlaneCode.tileRows
            planes.encode(tile: first / PlaneCode.tileRows, from: vectors.base + first * dimension)
        }
    }

    /// What a chunk's vectors and planes take, filled or not.
    static func residentBytes(dimension: Int) -> Int {
        capacity * dimension * MemoryLayout<Float>.stride
            + PlaneBlock.bytes(code: PlaneCode(dimension: dimension), tiles: capacity / PlaneCode.tileRows)
    }

    func vector(_ row: Int) -> RotatedVector {
        let dimension = vectors.count / Self.capacity
        let values = UnsafeBufferPointer(start: vectors.base + row * dimension, count: dimension)
        return RotatedVector(rotated: Array(values))
    }

    func leaf(_ row: Int) -> LeafID { leaves[row] }

    func record(_ row: Int) -> FaceRecord { records[row] }

    func row(_ row: Int) -> SegmentRow {
        SegmentRow(id: ids[row], leaf: leaves[row], vector: vector(row), record: records[row])
    }
}

/// The faces enrolled since the last flush. Owned by the replica's writer thread; readers hold a `BufferView`.
package final class Buffer {
    /// Tells this buffer's rows from those of another in a `RowLocator`; never used twice by a replica.
    package let serial: UInt64
    package let dimension: Int
    package private(set) var count = 0
    private var chunks: [BufferChunk] = []

    package init(serial: UInt64, dimension: Int) {
        self.serial = serial
        self.dimension = dimension
    }

    package var isFull: Bool { count == Limits.bufferFacesMax }

    /// Adds a row and returns its number; throws `bufferFull` at `Limits.bufferFacesMax`.
    /// A vector of another dimension is a programming error.
    @discardableResult
    package func append(_ row: SegmentRow) throws(SegmentError) -> Int {
        precondition(row.vector.dimension == dimension, "a vector of another collection")
        guard !isFull else { throw .bufferFull(limit: Limits.bufferFacesMax) }
        if count.isMultiple(of: BufferChunk.capacity) { chunks.append(BufferChunk(dimension: dimension)) }
        chunks[count / BufferChunk.capacity].append(row)
        count += 1
        return count - 1
    }

    /// What the vectors and planes of so many rows take: whole chunks.
    package func residentBytes(holding rows: Int) -> Int {
        (rows + BufferChunk.capacity - 1) / BufferChunk.capacity * BufferChunk.residentBytes(dimension: dimension)
    }

    /// The rows so far; costs no copy of a row.
    package var view: BufferView { BufferView(serial: serial, dimension: dimension, count: count, chunks: chunks) }
}

/// The first `count` rows of a buffer, as they stay.
package struct BufferView: Sendable {
    package let serial: UInt64
    package let dimension: Int
    package let count: Int
    let chunks: [BufferChunk]

    package var residentBytes: Int { chunks.count * BufferChunk.residentBytes(dimension: dimension) }

    package func id(_ row: Int) -> FaceID { chunk(of: row).ids[row % BufferChunk.capacity] }
    package func leaf(_ row: Int) -> LeafID { chunk(of: row).leaf(row % BufferChunk.capacity) }
    package func vector(_ row: Int) -> RotatedVector { chunk(of: row).vector(row % BufferChunk.capacity) }
    package func record(_ row: Int) -> FaceRecord { chunk(of: row).record(row % BufferChunk.capacity) }
    package func row(_ row: Int) -> SegmentRow { chunk(of: row).row(row % BufferChunk.capacity) }

    private func chunk(of row: Int) -> BufferChunk {
        precondition((0..<count).contains(row), "a row beyond the view")
        return chunks[row / BufferChunk.capacity]
    }
}
