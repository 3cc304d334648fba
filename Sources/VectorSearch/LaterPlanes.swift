import CVectorKernels

/// Where the planes and factors of the later stages of some tiles stand in one run of memory.
package struct LaterPlanes: Sendable {
    /// Where a stage's planes and factors begin.
    struct Stage: Sendable {
        var rows: Int
        var factors: Int
    }

    package let code: PlaneCode
    package let tiles: Int
    let stages: [Stage]
    /// Of all stages, and what kernels read behind them; 0 for a code that has no later stage.
    package let bytes: Int

    /// Every section begins at a multiple of `alignment`, a power of two from a cache line on.
    package init(code: PlaneCode, tiles: Int, alignment: Int = 64) {
        precondition(alignment >= 64 && alignment.nonzeroBitCount == 1, "a power of two")
        func aligned(_ bytes: Int) -> Int { (bytes + alignment - 1) & ~(alignment - 1) }
        let rows = tiles * PlaneCode.tileRows
        var (stages, bytes): ([Stage], Int) = ([], 0)
        for planes in code.later {
            let start = aligned(bytes)
            let factors = aligned(start + rows * planes * code.planeBytes + Int(FACET_PLANE_SLACK))
            stages.append(Stage(rows: start, factors: factors))
            bytes = factors + rows * 2 * MemoryLayout<Float>.stride
        }
        self.code = code
        self.tiles = tiles
        self.stages = stages
        self.bytes = bytes
    }

    /// Where a tile of a section stands; nil for the section that every search reads, which is none of these.
    package func place(of section: PlaneSection, tile: Int) -> Int? {
        let start: Int? =
            switch section {
            case .tiles: nil
            case .rows(let stage): stages[stage].rows
            case .factors(let stage): stages[stage].factors
            }
        return start.map { $0 + tile * code.tileBytes(of: section) }
    }
}
