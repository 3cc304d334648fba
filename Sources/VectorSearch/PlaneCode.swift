import CVectorKernels
import FaceModel

/// How the rows of a collection are coded in bit planes: 4 bits a component, most significant plane first, with a
/// measured factor and radius for each prefix that a scan stops at. Every constant of the search by planes is here.
///
/// A row `o` is coded as `x`, the middles of its cells; `x = <x, o> o + w` with `w` across `o`. For a query `q` with
/// cosine `c` to `o`, `<x, q> / <x, o> = c + <w, q> / <x, o>`, and `q` has only `sqrt(1 - c^2)` across `o`. A rotation
/// drawn independently of both turns that part of `q` in a random direction of d - 1 dimensions, so the error is
/// normal with deviation `|w| / <x, o> * sqrt((1 - c^2) / (d - 1))`: 6 of them are exceeded once in 10^9 pairs.
/// Without the rotation's randomness it is at most `|w| / <x, o> * sqrt(1 - c^2)` (Cauchy): certain, wider by
/// `sqrt(d - 1) / 6`. (Estimator and bound: RaBitQ, Gao and Long, SIGMOD 2024; more than one bit: extended RaBitQ,
/// Gao et al., SIGMOD 2025.)
package struct PlaneCode: Hashable, Sendable {
    /// Standard errors that a row's estimate is trusted by. Measured: docs/decisions/0012-bit-planes-in-memory.md.
    package static let sigmasDefault = 6.0

    /// Standard errors that a pass ahead trusts estimates by: it is after good rows, of which it may miss some.
    static let sigmasAhead = 1.5

    /// Rows encoded and scanned together.
    package static let tileRows = Int(FACET_TILE_ROWS)

    /// Raised whenever a constant below, or how a row is encoded, changes: factors and radii that other rules gave are no
    /// bound for a query of these. Segment files name it.
    package static let rulesVersion: UInt32 = 1

    static let planes = 4

    /// Scanned first are so many planes that their bits make 512: one bit of 128 components would send on most rows.
    private static let firstScanBits = 512

    /// A row's or a query's |norm^2 - 1| at most; rotated vectors stay below 4e-7.
    static let normTolerance: Float = 1e-5

    /// What float arithmetic may take from an estimate (some 20 roundings of 6e-8 of values below 2) together with
    /// what `normTolerance` may.
    static let rounding: Float = 3e-5

    /// Within it `sqrt(1 + r^2) <= 1 + r / 2`, which the query's own error is bounded by.
    static let radiusMax: Float = 1.33

    /// Radii are at least so much after 1, 2, 3 and 4 planes, two thirds of what they are for normal components; flat
    /// vectors alone have less. So the query's own error can be added as the root of squares with one constant.
    private static let radiusMin: (Float, Float, Float, Float) = (0.5, 0.25, 0.13, 0.07)

    static func radiusMin(planes: Int) -> Float {
        [radiusMin.0, radiusMin.1, radiusMin.2, radiusMin.3][planes - 1]
    }

    /// Above the squares of radii, whose terms are sums of floats that nearly cancel.
    static let radiusSlack: Float = 4e-6

    /// Steps in root mean squares. For normal components cosines are greatest at .25, .29 and .335 for 2, 3 and 4
    /// planes of one code, within 2 % of the radius from neighbour to neighbour of this list.
    private static let steps: (Float, Float, Float, Float) = (0.26, 0.30, 0.34, 0.38)

    /// The greatest fourth moment, d * sum of o^4, of a vector that the estimate is used for.
    ///
    /// For directions that a random rotation gives it is near 3: above the line at 3 in 10^4 vectors of 64 and 128
    /// dimensions, 3 in 10^5 of 512. Mass in few components, the same ones in row and query, bends the estimates of
    /// near pairs downwards (a coarse code says little about a great component), so what lies above is not estimated:
    /// such a row is always scored exactly, such a query scanned by the Cauchy bound.
    static func fourthMomentMax(_ dimension: Int) -> Float { 3 + 30 / Float(dimension).squareRoot() }

    package let dimension: Int
    /// Planes that the scan of every row reads.
    package let first: Int
    /// Planes that each later stage adds for the rows that are left.
    package let later: [Int]

    /// Planes read once the first scan and so many later stages are done.
    func prefix(stages: Int) -> Int {
        var planes = first
        for stage in 0..<stages { planes += later[stage] }
        return planes
    }

    /// `dimension` is a collection's; another is a programming error.
    package init(dimension: Int) {
        precondition(Limits.dimensionRange.contains(dimension) && dimension.isMultiple(of: 8), "no such collection")
        self.dimension = dimension
        first = min(Self.planes, max(1, Self.firstScanBits / dimension))
        later = first == 1 ? [1, 2] : first < Self.planes ? [Self.planes - first] : []
    }

    /// Bytes of one plane of a row.
    var planeBytes: Int { dimension / 8 }
    var tileBytes: Int { first * planeBytes * Self.tileRows + Int(FACET_TILE_FACTOR_BYTES) }

    /// A tile of the first later stage where it is turned into columns; 0 where there is none.
    var columnBytes: Int {
        later.first.map { $0 * planeBytes * Self.tileRows + Int(FACET_TILE_FACTOR_BYTES) } ?? 0
    }

    /// What a block of this code consists of.
    package var sections: [PlaneSection] {
        [.tiles] + later.indices.flatMap { [.rows(stage: $0), .factors(stage: $0)] }
    }

    /// What 64 rows take of a section.
    package func tileBytes(of section: PlaneSection) -> Int {
        switch section {
        case .tiles: tileBytes
        case .rows(let stage): later[stage] * planeBytes * Self.tileRows
        case .factors: 2 * MemoryLayout<Float>.stride * Self.tileRows
        }
    }

    var layout: facet_plane_layout {
        facet_plane_layout(
            first: Int32(first), stages: Int32(later.count),
            planes: (Int32(later.first ?? 0), Int32(later.count > 1 ? later[1] : 0)))
    }

    var rules: facet_plane_rules {
        facet_plane_rules(
            norm_tolerance: Self.normTolerance, fourth_moment_max: Self.fourthMomentMax(dimension),
            radius_max: Self.radiusMax, radius_min: Self.radiusMin, radius_slack: Self.radiusSlack, steps: Self.steps,
            deciding_planes: first == Self.planes ? 4 : 3)
    }
}
