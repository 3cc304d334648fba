import FaceModel
import StorageIO

/// Where a segment's fp32 vectors stand in its file: 12 bytes a block in memory, 3 a face. The vectors are read when
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
        /// As in the block table.
        var stored: BlockEntry.Stored
        var checksum: UInt32
    }

    let dimension: Int
    private var runs: [Run] = []
    private var blocks: [Block] = []
    /// The greatest, stored or not.
    private var blockBytesMax = 0

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
            blockBytesMax = max(blockBytesMax, place.entry.rawBytes, place.entry.storedBytes)
            blocks.append(
                Block(
                    start: start, stored: BlockEntry.Stored(place.entry.codec, bytes: place.entry.storedBytes),
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
                codec: block.stored.codec, storedBytes: block.stored.bytes, rawBytes: rows * rowBytes,
                checksum: block.checksum), offset: run.offset + Int(block.start))
    }

    /// Reads `rows`, 64 at most, to `floats`, one after another. What a disk must be asked for is asked for first, while
    /// the rest is decoded, so that it works at all of it; rows that stand in one block, if they come together, are read
    /// once.
    func read(
        _ rows: UnsafeBufferPointer<Int>, from file: BlockFile, to floats: UnsafeMutablePointer<Float>
    ) throws(SegmentError) {
        precondition(rows.count <= UInt64.bitWidth, "rows that are asked for together")
        var reading = BlockReading(blockBytesMax, dimension: dimension, from: file)
        var missed: UInt64 = 0
        for (at, row) in rows.enumerated() {
            let place = block(of: row)
            if rows.count == 1 {
                try reading.copy(row, of: place, to: floats)
            } else if try reading.take(place) {
                try reading.copy(row, of: place, to: floats + at * dimension)
            } else {
                missed |= 1 << UInt64(at)
            }
        }
        while missed != 0 {
            let at = missed.trailingZeroBitCount
            missed &= missed - 1
            try reading.copy(rows[at], of: block(of: rows[at]), to: floats + at * dimension)
        }
    }

    private var rowBytes: Int { dimension * MemoryLayout<Float>.size }
}

/// Rows of blocks that are read one after another, in memory for one.
private struct BlockReading: ~Copyable {
    private let file: BlockFile
    private let dimension: Int
    private let memory: BlockMemory
    private let floats: UnsafeMutableRawBufferPointer
    /// Offsets of the block whose rows `floats` has, and of the one that a disk was asked for last.
    private var held = -1
    private var announced = -1

    init(_ bytes: Int, dimension: Int, from file: BlockFile) {
        self.file = file
        self.dimension = dimension
        memory = BlockMemory(bytes: bytes)
        floats = .allocate(byteCount: max(1, bytes), alignment: 64)
    }

    deinit { floats.deallocate() }

    /// Whether the block's rows can be copied without waiting: it is held, or in the system's memory. Asks a disk for it
    /// otherwise.
    mutating func take(_ place: BlockPlace) throws(SegmentError) -> Bool {
        if place.offset == held { return true }
        guard place.offset != announced else { return false }
        guard file.readCached(place, memory) else {
            file.file.willRead(place.entry.storedBytes, at: place.offset)
            announced = place.offset
            return false
        }
        try decode(place)
        return true
    }

    /// Refuses a component that is not finite.
    mutating func copy(
        _ row: Int, of place: BlockPlace, to target: UnsafeMutablePointer<Float>
    ) throws(SegmentError) {
        if place.offset != held {
            try file.read(place, memory)
            try decode(place)
        }
        guard let base = floats.baseAddress else { preconditionFailure("memory was allocated") }
        let source = base.assumingMemoryBound(to: Float.self) + (row - place.firstRow) * dimension
        try file.requireFinite(source, dimension, of: place)
        target.update(from: source, count: dimension)
    }

    private mutating func decode(_ place: BlockPlace) throws(SegmentError) {
        // Not those of the block before any more, nor yet of this one.
        held = -1
        let target = UnsafeMutableRawBufferPointer(rebasing: floats[..<place.entry.rawBytes])
        try file.decode(place, memory, into: target, elementBytes: MemoryLayout<Float>.size)
        held = place.offset
    }
}
