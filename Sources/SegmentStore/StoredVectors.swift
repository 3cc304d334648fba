import FaceModel
import StorageIO

/// Where a segment's fp32 vectors stand in its file: 16 bytes a block in memory, 4 a face. The vectors are read when
/// they are asked for.
struct StoredVectors: Sendable {
    /// The rows of one column.
    private struct Run: Sendable {
        var firstRow: Int
        var rows: Int
        var rowsPerBlock: Int
        /// Of the column's first block in the file, and in `blocks`.
        var offset: Int
        var firstBlock: Int
    }

    private struct Block: Sendable {
        /// From the column's first block.
        var start: UInt32
        var codec: BlockCodec
        var storedBytes: UInt32
        var checksum: UInt32
    }

    let dimension: Int
    private var runs: [Run] = []
    private var blocks: [Block] = []

    init(dimension: Int) { self.dimension = dimension }

    var bytes: Int { blocks.count * MemoryLayout<Block>.stride + runs.count * MemoryLayout<Run>.stride }

    /// Columns come in row order. False when a block's raw length is not that of its rows.
    mutating func add(_ column: ColumnTable) -> Bool {
        guard let first = column.blocks.first else { return false }
        runs.append(
            Run(
                firstRow: column.header.firstRow, rows: column.header.rows, rowsPerBlock: column.header.rowsPerBlock,
                offset: first.offset, firstBlock: blocks.count))
        for place in column.blocks {
            guard place.entry.rawBytes == place.rows * rowBytes, place.entry.rawBytes <= BlockEntry.rawBytesMax,
                let start = UInt32(exactly: place.offset - first.offset)
            else { return false }
            blocks.append(
                Block(
                    start: start, codec: place.entry.codec, storedBytes: UInt32(place.entry.storedBytes),
                    checksum: place.entry.checksum))
        }
        return true
    }

    mutating func shrink() {
        runs = Array(runs)
        blocks = Array(blocks)
    }

    func block(of row: Int) -> BlockPlace {
        let run = runs[runs.partitionPoint { $0.firstRow + $0.rows > row }]
        let number = (row - run.firstRow) / run.rowsPerBlock
        let block = blocks[run.firstBlock + number]
        let before = number * run.rowsPerBlock
        let rows = min(run.rowsPerBlock, run.rows - before)
        return BlockPlace(
            number: number, firstRow: run.firstRow + before, rows: rows,
            entry: BlockEntry(
                codec: block.codec, storedBytes: Int(block.storedBytes), rawBytes: rows * rowBytes,
                checksum: block.checksum), offset: run.offset + Int(block.start))
    }

    /// Reads `rows` to `floats`, one after another. What is read of several blocks is asked for first, so that a disk
    /// works at all of them; rows that stand in one block, if they come together, are read once.
    func read(
        _ rows: UnsafeBufferPointer<Int>, from file: BlockFile, to floats: UnsafeMutablePointer<Float>
    ) throws(SegmentError) {
        if rows.count > 1 { announce(rows, file) }
        var place: BlockPlace?
        var memory = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
        defer { memory.deallocate() }
        for (at, row) in rows.enumerated() {
            let wanted = block(of: row)
            if wanted.offset != place?.offset {
                let count = wanted.rows * dimension
                if memory.count < count {
                    memory.deallocate()
                    memory = .allocate(capacity: count)
                }
                guard let base = memory.baseAddress else { preconditionFailure("memory was allocated") }
                try file.read(wanted, floats: base, count: count)
                place = wanted
            }
            guard let base = memory.baseAddress else { preconditionFailure("a block was read") }
            (floats + at * dimension).update(from: base + (row - wanted.firstRow) * dimension, count: dimension)
        }
    }

    private func announce(_ rows: UnsafeBufferPointer<Int>, _ file: BlockFile) {
        var last = -1
        for row in rows {
            let place = block(of: row)
            guard place.offset != last else { continue }
            file.file.willRead(place.entry.storedBytes, at: place.offset)
            last = place.offset
        }
    }

    private var rowBytes: Int { dimension * MemoryLayout<Float>.size }
}
