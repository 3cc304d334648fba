import CVectorKernels

/// Bit planes of rows that stand one after another, in tiles of `PlaneCode.tileRows`: 4 bits a component and at most
/// 24 bytes of factors a row. Rows that do not fill a tile have no planes and are scored exactly.
///
/// A value around shared memory: copies show the same tiles. One thread encodes a tile, once, before any other is told
/// of it.
package struct PlaneBlock: Sendable {
    /// Where a later stage's planes and factors begin.
    private struct Stage: Sendable {
        var rows: Int
        var factors: Int
    }

    package let code: PlaneCode
    /// Tiles there is room for.
    package let tiles: Int
    private let memory: AlignedMemory
    private let stages: [Stage]

    /// Room for the tiles that `rows` rows fill.
    package init(code: PlaneCode, rows: Int) {
        self.code = code
        tiles = rows / PlaneCode.tileRows
        let place = Self.place(code, tiles: tiles)
        stages = place.stages
        memory = AlignedMemory(bytes: place.bytes)
        // Kernels read some bytes behind a row, whose codes they then multiply by zero.
        memory.base.initializeMemory(as: UInt8.self, repeating: 0, count: place.bytes)
    }

    /// What a block with room for `rows` rows takes in memory.
    package static func bytes(code: PlaneCode, rows: Int) -> Int {
        place(code, tiles: rows / PlaneCode.tileRows).bytes
    }

    private static func place(_ code: PlaneCode, tiles: Int) -> (stages: [Stage], bytes: Int) {
        var bytes = tiles * code.tileBytes
        let rows = tiles * PlaneCode.tileRows
        var stages: [Stage] = []
        for planes in code.later {
            let start = aligned(bytes)
            let factors = aligned(start + rows * planes * code.planeBytes + Int(FACET_PLANE_SLACK))
            stages.append(Stage(rows: start, factors: factors))
            bytes = factors + rows * 2 * MemoryLayout<Float>.stride
        }
        return (stages, bytes)
    }

    /// Encodes the whole tiles of `count` rows of `code.dimension` floats each.
    package init(code: PlaneCode, encoding rows: UnsafePointer<Float>, count: Int) {
        self.init(code: code, rows: count)
        for tile in 0..<tiles { encode(tile: tile, from: rows + tile * PlaneCode.tileRows * code.dimension) }
    }

    package var bytes: Int { memory.bytes }

    /// Encodes the tile from its 64 rows; once.
    package func encode(tile: Int, from rows: UnsafePointer<Float>) {
        precondition((0..<tiles).contains(tile), "a tile beyond the block")
        let row = tile * PlaneCode.tileRows
        var target = facet_plane_target()
        target.tile = bytes(at: tile * code.tileBytes)
        if let stage = stages.first {
            target.rows.0 = bytes(at: stage.rows + row * code.later[0] * code.planeBytes)
            target.factors.0 = factors(of: stage, row)
        }
        if stages.count > 1 {
            target.rows.1 = bytes(at: stages[1].rows + row * code.later[1] * code.planeBytes)
            target.factors.1 = factors(of: stages[1], row)
        }
        var layout = code.layout
        var rules = code.rules
        facet_plane_encode(rows, code.dimension, &layout, &rules, &target)
    }

    /// The rows of `count` tiles from `tile` on that may score `bound` by what every stage says: their numbers, from the
    /// first tile's first row, rising, in `positions`. Both arrays have room for every row; `left` is told how many
    /// rows each stage left.
    func survivors(
        _ query: PlaneQuery, tile: Int, count: Int, bound: Float, positions: UnsafeMutablePointer<UInt32>,
        sums: UnsafeMutablePointer<Int32>, left: inout PlaneCounts
    ) -> Int {
        precondition(tile >= 0 && count >= 0 && tile + count <= tiles, "tiles beyond the block")
        return query.withTables { tables in
            let limit = query.limit(bound, planes: code.first)
            var found = scan(tables, tile: tile, count: count, limit: limit, positions, sums)
            left.count(scanned: count * PlaneCode.tileRows, left: found)
            for stage in 0..<stages.count where found > 0 {
                let limit = query.limit(bound, planes: code.prefix(stages: stage + 1))
                found = refine(tables, stage: stage, tile: tile, limit: limit, positions, sums, found)
                left.count(stage: stage + 1, left: found)
            }
            return found
        }
    }

    private func scan(
        _ query: UnsafePointer<facet_plane_query>, tile: Int, count: Int, limit: facet_plane_limit,
        _ positions: UnsafeMutablePointer<UInt32>, _ sums: UnsafeMutablePointer<Int32>
    ) -> Int {
        var limit = limit
        return facet_plane_scan(
            query, bytes(at: tile * code.tileBytes), count, Int32(code.first), &limit, positions, sums)
    }

    /// `stage` counts the later ones.
    private func refine(
        _ query: UnsafePointer<facet_plane_query>, stage: Int, tile: Int, limit: facet_plane_limit,
        _ positions: UnsafeMutablePointer<UInt32>, _ sums: UnsafeMutablePointer<Int32>, _ count: Int
    ) -> Int {
        var limit = limit
        let row = tile * PlaneCode.tileRows
        let planes = code.later[stage]
        return facet_plane_refine(
            query, bytes(at: stages[stage].rows + row * planes * code.planeBytes), factors(of: stages[stage], row),
            Int32(code.prefix(stages: stage)), Int32(planes), &limit, positions, sums, count)
    }

    /// One stage of one tile, the first being 0.
    func read(
        _ stage: Int, _ query: UnsafePointer<facet_plane_query>, _ tile: Int, limit: facet_plane_limit,
        _ positions: inout [UInt32], _ sums: inout [Int32]
    ) {
        _ =
            stage == 0
            ? scan(query, tile: tile, count: 1, limit: limit, &positions, &sums)
            : refine(query, stage: stage - 1, tile: tile, limit: limit, &positions, &sums, positions.count)
    }

    /// Factor and radius of a row at a stage, the first being 0.
    func factors(_ stage: Int, row: Int) -> (Float, Float) {
        guard stage == 0 else {
            let pair = factors(of: stages[stage - 1], row)
            return (pair[0], pair[1])
        }
        let start = row / PlaneCode.tileRows * code.tileBytes
        let factors = bytes(at: start + code.first * code.planeBytes * PlaneCode.tileRows)
        return factors.withMemoryRebound(to: Float.self, capacity: 2 * PlaneCode.tileRows) {
            ($0[row % PlaneCode.tileRows], $0[PlaneCode.tileRows + row % PlaneCode.tileRows])
        }
    }

    private func bytes(at offset: Int) -> UnsafeMutablePointer<UInt8> {
        (memory.base + offset).assumingMemoryBound(to: UInt8.self)
    }

    private func factors(of stage: Stage, _ row: Int) -> UnsafeMutablePointer<Float> {
        (memory.base + stage.factors).assumingMemoryBound(to: Float.self) + 2 * row
    }

    private static func aligned(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
}

/// How many rows the stages of a search by planes saw and left: what it saved.
package struct PlaneCounts: Hashable, Sendable {
    /// Rows whose first planes were read.
    package private(set) var scanned = 0
    /// Rows left after the first scan and after each later stage.
    package private(set) var left = [0, 0, 0]
    /// Rows scored exactly, those without planes included.
    package internal(set) var scored = 0

    package init() {}

    mutating func count(scanned: Int, left: Int) {
        self.scanned += scanned
        self.left[0] += left
    }

    mutating func count(stage: Int, left: Int) { self.left[stage] += left }
}
