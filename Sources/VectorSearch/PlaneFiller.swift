/// Encodes rows that come one by one, a tile when its 64 are together.
package struct PlaneFiller {
    package let block: PlaneBlock
    /// Tiles encoded since the beginning or the last `restart`.
    package private(set) var tiles = 0
    private var rows: [Float]
    private var count = 0

    /// Fills `block` from its first tile on.
    package init(_ block: PlaneBlock) {
        self.block = block
        rows = [Float](repeating: 0, count: PlaneCode.tileRows * block.code.dimension)
    }

    package var isFull: Bool { tiles == block.tiles }

    /// `row` is as long as the code's dimension; a row for a block that is full is a programming error.
    package mutating func append(_ row: UnsafeBufferPointer<Float>) {
        precondition(row.count == block.code.dimension && !isFull, "a row of another collection, or one too many")
        rows.withUnsafeMutableBufferPointer { rows in
            guard let base = rows.baseAddress, let source = row.baseAddress else { return }
            (base + count * row.count).update(from: source, count: row.count)
        }
        count += 1
        if count == PlaneCode.tileRows { encode() }
    }

    /// Encodes the rows that fill no tile; those that lack are zeros, which every search keeps and the scan leaves out,
    /// for they have no number.
    package mutating func finish() {
        guard count > 0 else { return }
        rows.withUnsafeMutableBufferPointer { rows in
            for index in count * block.code.dimension..<rows.count { rows[index] = 0 }
        }
        encode()
    }

    /// Begins again at the first tile, whose bytes were written out.
    package mutating func restart() {
        precondition(count == 0, "a tile is not finished")
        tiles = 0
    }

    private mutating func encode() {
        rows.withUnsafeBufferPointer { rows in
            if let base = rows.baseAddress { block.encode(tile: tiles, from: base) }
        }
        tiles += 1
        count = 0
    }
}
