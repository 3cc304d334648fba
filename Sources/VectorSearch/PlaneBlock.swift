import CVectorKernels

/// A part of a block's memory that is one run, as a segment's file holds it too.
package enum PlaneSection: Hashable, Sendable {
    /// What the first scan reads: tile by tile, the first planes of 64 rows and their factors.
    case tiles
    /// The planes of a later stage, a row after another; stages count from 0.
    case rows(stage: Int)
    /// Factor and radius of a later stage, a row after another.
    case factors(stage: Int)
}

/// Bit planes of rows that stand one after another, in tiles of `PlaneCode.tileRows`: 4 bits a component and at most
/// 24 bytes of factors a row. What the first scan reads stands apart from what is read where a row is left.
///
/// A value around shared memory: copies show the same tiles. One thread encodes a tile, once, before any other is told
/// of it.
package struct PlaneBlock: Sendable {
    package let code: PlaneCode
    /// Tiles there is room for.
    package let tiles: Int
    private let first: AlignedMemory
    private let later: AlignedMemory
    private let stages: [LaterPlanes.Stage]

    /// Room for the tiles that `rows` rows fill.
    package init(code: PlaneCode, rows: Int) { self.init(code: code, tiles: rows / PlaneCode.tileRows) }

    /// Room for `tiles` tiles, whose bytes are zero.
    package init(code: PlaneCode, tiles: Int) {
        let later = LaterPlanes(code: code, tiles: tiles)
        self.init(later, in: AlignedMemory(bytes: later.bytes))
        self.later.base.initializeMemory(as: UInt8.self, repeating: 0, count: self.later.bytes)
    }

    /// Room for the first planes, whose bytes are zero, beside later ones that stand in `memory` as `later` says.
    package init(_ later: LaterPlanes, in memory: AlignedMemory) {
        precondition(memory.bytes >= later.bytes, "planes beyond their memory")
        code = later.code
        tiles = later.tiles
        stages = later.stages
        self.later = memory
        first = AlignedMemory(bytes: tiles * code.tileBytes)
        // Kernels read some bytes behind a row, whose codes they then multiply by zero.
        first.base.initializeMemory(as: UInt8.self, repeating: 0, count: first.bytes)
    }

    /// Encodes the whole tiles of `count` rows of `code.dimension` floats each.
    package init(code: PlaneCode, encoding rows: UnsafePointer<Float>, count: Int) {
        self.init(code: code, rows: count)
        for tile in 0..<tiles { encode(tile: tile, from: rows + tile * PlaneCode.tileRows * code.dimension) }
    }

    /// Tiles that so many rows stand in, the last one full or not.
    package static func tiles(of rows: Int) -> Int { (rows + PlaneCode.tileRows - 1) / PlaneCode.tileRows }

    /// What a block of so many tiles takes in memory.
    package static func bytes(code: PlaneCode, tiles: Int) -> Int {
        tiles * code.tileBytes + LaterPlanes(code: code, tiles: tiles).bytes
    }

    /// Memory of its own.
    package var bytes: Int { first.bytes + (later.isOwn ? later.bytes : 0) }
    /// Memory that is another's.
    package var lentBytes: Int { later.isOwn ? 0 : later.bytes }
    /// What every search reads.
    package var firstScanBytes: Int { first.bytes }

    /// Keeps what every search reads in memory, whatever else the machine needs; the errno where the system refuses.
    package func lockFirstScan() -> Int32? { first.lock() }

    /// The memory of some tiles' part of a section, to be filled or written out; filled once, before any other thread
    /// is told of the tiles.
    package func bytes(of section: PlaneSection, tiles some: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(some.lowerBound >= 0 && some.upperBound <= tiles, "tiles beyond the block")
        precondition(section == .tiles || later.isOwn, "planes that are another's are there already")
        let tileBytes = code.tileBytes(of: section)
        let start: UnsafeMutableRawPointer =
            switch section {
            case .tiles: first.base
            case .rows(let stage): later.base + stages[stage].rows
            case .factors(let stage): later.base + stages[stage].factors
            }
        return UnsafeMutableRawBufferPointer(start: start + some.lowerBound * tileBytes, count: some.count * tileBytes)
    }

    /// Encodes the tile from its 64 rows; once.
    package func encode(tile: Int, from rows: UnsafePointer<Float>) {
        precondition((0..<tiles).contains(tile), "a tile beyond the block")
        let row = tile * PlaneCode.tileRows
        var target = facet_plane_target()
        target.tile = bytes(ofTile: tile)
        if let stage = stages.first {
            target.rows.0 = bytes(of: stage, row, planes: code.later[0])
            target.factors.0 = factors(of: stage, row)
        }
        if stages.count > 1 {
            target.rows.1 = bytes(of: stages[1], row, planes: code.later[1])
            target.factors.1 = factors(of: stages[1], row)
        }
        var layout = code.layout
        var rules = code.rules
        facet_plane_encode(rows, code.dimension, &layout, &rules, &target)
    }

    /// Adds up the first planes of `count` tiles from `tile` on for each of `queries` queries, as the kernel takes
    /// them.
    func sum(
        _ queries: UnsafePointer<facet_plane_query>, _ queryCount: Int, tile: Int, count: Int,
        into rowSums: UnsafePointer<UnsafeMutablePointer<UInt16>?>
    ) {
        precondition(tile >= 0 && count >= 0 && tile + count <= tiles, "tiles beyond the block")
        facet_plane_sums(
            queries, queryCount, bytes(ofTile: tile), code.tileBytes, count, Int32(code.first), 0, rowSums)
    }

    /// The rows of these tiles that go on by what `sum` gave: their numbers, from the first tile's first row, rising,
    /// in `positions`, and what their planes sum up to in `sums`. Both arrays have room for every row.
    func select(
        _ query: UnsafePointer<facet_plane_query>, _ rowSums: UnsafePointer<UInt16>, tile: Int, count: Int,
        limit: facet_plane_limit, positions: UnsafeMutablePointer<UInt32>, sums: UnsafeMutablePointer<Int32>
    ) -> Int {
        var limit = limit
        let factors = bytes(ofTile: tile) + code.first * code.planeBytes * PlaneCode.tileRows
        return facet_plane_select(
            query, rowSums, factors, code.tileBytes, count, Int32(code.first), &limit, positions, sums)
    }

    /// Keeps those of `count` selected rows that go on by the planes of a later stage, and returns how many. `tile` is
    /// what positions count from; stages count from 0.
    func refine(
        _ query: UnsafePointer<facet_plane_query>, stage: Int, tile: Int, limit: facet_plane_limit,
        positions: UnsafeMutablePointer<UInt32>, sums: UnsafeMutablePointer<Int32>, _ count: Int
    ) -> Int {
        var limit = limit
        let row = tile * PlaneCode.tileRows
        let planes = code.later[stage]
        return facet_plane_refine(
            query, bytes(of: stages[stage], row, planes: planes), factors(of: stages[stage], row),
            Int32(code.prefix(stages: stage)), Int32(planes), &limit, positions, sums, count)
    }

    /// The first later stage of `count` tiles from `tile` on, turned into columns as the first planes are.
    func turn(tile: Int, count: Int, into columns: UnsafeMutablePointer<UInt8>) {
        let row = tile * PlaneCode.tileRows
        facet_plane_columns(
            bytes(of: stages[0], row, planes: code.later[0]), code.later[0] * code.planeBytes,
            factors(of: stages[0], row), count, columns)
    }

    /// One stage of one tile, the first being 0.
    func read(
        _ stage: Int, _ query: UnsafePointer<facet_plane_query>, _ tile: Int, limit: facet_plane_limit,
        _ positions: inout [UInt32], _ sums: inout [Int32]
    ) {
        if stage > 0 {
            _ = refine(
                query, stage: stage - 1, tile: tile, limit: limit, positions: &positions, sums: &sums, positions.count)
            return
        }
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: PlaneCode.tileRows) { rowSums in
            var into = rowSums.baseAddress
            guard let base = into else { return }
            sum(query, 1, tile: tile, count: 1, into: &into)
            _ = select(query, base, tile: tile, count: 1, limit: limit, positions: &positions, sums: &sums)
        }
    }

    /// Factor and radius of a row at a stage, the first being 0.
    func factors(_ stage: Int, row: Int) -> (Float, Float) {
        guard stage == 0 else {
            let pair = factors(of: stages[stage - 1], row)
            return (pair[0], pair[1])
        }
        let factors = bytes(ofTile: row / PlaneCode.tileRows) + code.first * code.planeBytes * PlaneCode.tileRows
        return factors.withMemoryRebound(to: Float.self, capacity: 2 * PlaneCode.tileRows) {
            ($0[row % PlaneCode.tileRows], $0[PlaneCode.tileRows + row % PlaneCode.tileRows])
        }
    }

    private func bytes(ofTile tile: Int) -> UnsafeMutablePointer<UInt8> {
        (first.base + tile * code.tileBytes).assumingMemoryBound(to: UInt8.self)
    }

    private func bytes(of stage: LaterPlanes.Stage, _ row: Int, planes: Int) -> UnsafeMutablePointer<UInt8> {
        (later.base + stage.rows + row * planes * code.planeBytes).assumingMemoryBound(to: UInt8.self)
    }

    private func factors(of stage: LaterPlanes.Stage, _ row: Int) -> UnsafeMutablePointer<Float> {
        (later.base + stage.factors).assumingMemoryBound(to: Float.self) + 2 * row
    }
}
