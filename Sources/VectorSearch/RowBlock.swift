package import FaceModel

/// Where the exact vectors of a block's rows come from.
package enum RowVectors<Failure: Error> {
    /// `count` x `dimension` floats, a row after another, in memory that outlives the scan.
    case memory(UnsafePointer<Float>)
    /// Reads the rows with these numbers, at most `ScanScratch.rowsPerRead`, to floats one after another.
    case stored((_ rows: UnsafeBufferPointer<Int>, _ floats: UnsafeMutablePointer<Float>) throws(Failure) -> Void)
}

/// Rows of one source that stand one after another: their ids, their bit planes, and where their vectors are.
package struct RowBlock<Failure: Error> {
    package var vectors: RowVectors<Failure>
    /// Memory that outlives the scan.
    package var ids: UnsafePointer<FaceID>
    package var count: Int
    package var source: RowSource
    /// Number of the first row within its source.
    package var firstRow: Int
    package var planes: PlaneBlock?
    /// Number of the first row within `planes`.
    package var firstPlaneRow: Int
    /// Tiles of `planes` that are encoded; rows behind them are scored exactly.
    package var encodedTiles: Int

    /// Rows that `read` reads by their numbers within the source; `planes` cover all rows of the source.
    package init(
        reading read: @escaping (UnsafeBufferPointer<Int>, UnsafeMutablePointer<Float>) throws(Failure) -> Void,
        ids: UnsafePointer<FaceID>, rows: Range<Int>, source: RowSource, planes: PlaneBlock
    ) {
        vectors = .stored(read)
        self.ids = ids
        count = rows.count
        self.source = source
        firstRow = rows.lowerBound
        self.planes = planes
        firstPlaneRow = rows.lowerBound
        encodedTiles = planes.tiles
    }

    /// The tiles that the rows stand in, as far as they are encoded.
    var tiles: Range<Int> {
        guard planes != nil else { return 0..<0 }
        let first = firstPlaneRow / PlaneCode.tileRows
        let end = min((firstPlaneRow + count + PlaneCode.tileRows - 1) / PlaneCode.tileRows, encodedTiles)
        return first..<max(first, end)
    }

    /// How many sums a pass ahead keeps of the block: of every row of its tiles.
    package var sums: Int { tiles.count * PlaneCode.tileRows }

    /// The rows, from 0, that stand in no encoded tile.
    var untiled: Range<Int> {
        guard planes != nil else { return 0..<count }
        return min(count, max(0, encodedTiles * PlaneCode.tileRows - firstPlaneRow))..<count
    }
}

extension RowBlock where Failure == Never {
    /// Rows in memory. `encodedTiles` is nil where all of `planes` are.
    package init(
        rows: UnsafePointer<Float>, ids: UnsafePointer<FaceID>, count: Int, source: RowSource, firstRow: Int,
        planes: PlaneBlock? = nil, firstPlaneRow: Int = 0, encodedTiles: Int? = nil
    ) {
        vectors = .memory(rows)
        self.ids = ids
        self.count = count
        self.source = source
        self.firstRow = firstRow
        self.planes = planes
        self.firstPlaneRow = firstPlaneRow
        self.encodedTiles = encodedTiles ?? planes?.tiles ?? 0
    }
}
