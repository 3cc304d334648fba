import CVectorKernels
package import FaceModel

/// A query as the plane kernels take it: codes of 6 bits in the tables they read, and what the codes lose.
///
/// Codes `Q` stand for `g Q = q + v` with `g` such that `<g Q, q> = 1` and `v` across `q`: scaled by least squares,
/// scores of near pairs would come out too low, which is where a miss hurts. `v` adds `<x, v> / <x, o>` to the
/// estimate: by the same argument as in `PlaneCode` normal with deviation at most `|v| sqrt(1 + r^2) / sqrt(d - 1)`,
/// `r` the row's radius. It is a sawtooth of the query's components, finer by 16 than anything the row's term depends
/// on, so the two are independent unless the pair is all but equal; there the row's term vanishes, and what is allowed
/// for the query's is twice its deviation.
package struct PlaneQuery: Sendable {
    /// Codes are padded to whole 256 components, the most that a kernel reads at once.
    private static let codesRead = 256

    /// False for a vector that is no rotated one: its norm is not 1. It is compared with every row exactly.
    package let isUsable: Bool
    let bounds: PlaneBounds
    /// Codes, codes by bit, sums: one after the other, at an address that stays.
    private let memory: AlignedMemory
    /// For the kernels, as long as this query lives.
    // Safe because what it points at is never changed.
    nonisolated(unsafe) let tables: facet_plane_query

    package var dimension: Int { bounds.dimension }
    package var isCertain: Bool { bounds.isCertain }
    var scale: Float { bounds.scale }
    var error: Double { bounds.error }
    var total: Int32 { tables.total }

    /// `sigmas` is above 0, infinity for certain bounds; anything else is a programming error.
    package init(_ vector: RotatedVector, sigmas: Double = PlaneCode.sigmasDefault) {
        precondition(sigmas > 0, "a bound has a width")
        let values = vector.values.map(Double.init)
        let dimension = values.count
        let square = values.reduce(0) { $0 + $1 * $1 }
        let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 }
        let largest = values.reduce(0) { max($0, abs($1)) }
        let usable = abs(square - 1) <= Double(PlaneCode.normTolerance)
        isUsable = usable
        let unlikely = !(Double(dimension) * fourth <= Double(PlaneCode.fourthMomentMax(dimension)) * square * square)
        let wide = sigmas / Double(dimension - 1).squareRoot()
        let isCertain = unlikely || wide >= 1

        let step = usable ? Self.step(values, largest: largest) : 1
        let exact = values.map { usable ? ($0 / step).rounded() : 0 }
        let along = zip(exact, values).reduce(0) { $0 + $1.0 * $1.1 } / square.squareRoot()
        let gain = usable ? 1 / along : 0
        let error = max(0, gain * gain * exact.reduce(0) { $0 + $1 * $1 } - 1).squareRoot()
        bounds = PlaneBounds(
            dimension: dimension, isCertain: isCertain, width: isCertain ? 1 : wide, scale: Float(gain / 2),
            error: error)
        let padded = (dimension + Self.codesRead - 1) / Self.codesRead * Self.codesRead
        memory = AlignedMemory(bytes: 2 * padded + 4 * dimension)
        memory.base.initializeMemory(as: UInt8.self, repeating: 0, count: memory.bytes)
        let codes = memory.base.bindMemory(to: Int8.self, capacity: 2 * padded)
        for (index, code) in exact.enumerated() { codes[index] = Int8(code) }
        let sums = (memory.base + 2 * padded).bindMemory(to: UInt8.self, capacity: 4 * dimension)
        let offset = facet_plane_prepare(codes, dimension / 8, codes + padded, sums)
        tables = facet_plane_query(
            codes: codes, by_bit: codes + padded, sums: sums, offset: offset,
            total: exact.reduce(0) { $0 + Int32($1) }, groups: dimension / 8)
    }

    /// The finest step with which the greatest code fits and each run's sizes add up to what a byte holds: the kernels then
    /// widen bytes once a run. For a rotated query that is some 8 steps a standard deviation.
    private static func step(_ values: [Double], largest: Double) -> Double {
        let (run, most) = (Int(FACET_QUERY_RUN), Double(FACET_QUERY_RUN_MAX))
        var step = largest / Double(FACET_QUERY_CODE_MAX)
        while true {
            var heaviest = 0.0
            for start in stride(from: 0, to: values.count, by: run) {
                var sizes = 0.0
                for at in start..<min(start + run, values.count) { sizes += abs((values[at] / step).rounded()) }
                heaviest = max(heaviest, sizes)
            }
            if heaviest <= most { return step }
            step *= max(heaviest / most, 1 + 1 / most)
        }
    }

    /// Calls `body` with the tables in place.
    func withTables<Result>(_ body: (UnsafePointer<facet_plane_query>) -> Result) -> Result {
        var tables = tables
        return withExtendedLifetime(memory) { body(&tables) }
    }
}

/// How far the estimates of one query are trusted: what bounds are computed from, without the query's tables.
struct PlaneBounds: Sendable {
    let dimension: Int
    /// Whether estimates are trusted by `sigmas`, or, for an unlikely vector and for infinite `sigmas`, only as far as
    /// the Cauchy bound.
    let isCertain: Bool
    /// What stands for `sigmas / sqrt(d - 1)`.
    let width: Double
    /// Half of `g`: kernels double the sums, to keep them whole.
    let scale: Float
    /// The length of `v`.
    let error: Double

    /// What a row whose first `planes` planes are read must reach to have a chance of a score of `bound`.
    ///
    /// Let `t` be the bound as far as it is positive; a row with cosine `c >= bound` has at most `s = sqrt(1 - t^2)` of
    /// the query across it. Its estimate is at least `c - width e` with
    /// - for certain bounds `e = r s + |v| sqrt(1 + r^2)`, and `sqrt(1 + r^2) <= 1 + r / 2`;
    /// - else `e^2 = r^2 s^2 + |v|^2 (1 + r^2)`, that is `e = sqrt(r^2 a^2 + |v|^2)` with `a^2 = s^2 + |v|^2`, which is
    ///   at most `r a + |v|` and, `r` being at least `m`, at most `r a + |v|^2 / (2 a m)`.
    /// `isHasty` trusts estimates by `PlaneCode.sigmasAhead`: for rows that are likely to be good, and no bound for
    /// others.
    func limit(_ bound: Float, planes: Int, isHasty: Bool = false) -> facet_plane_limit {
        let width = isHasty ? min(width, PlaneCode.sigmasAhead / Double(dimension - 1).squareRoot()) : width
        let cosine = min(1, max(0, Double(bound) * (1 - Double(PlaneCode.normTolerance))))
        let across = (1 - cosine * cosine).squareRoot()
        let (slope, rest): (Double, Double)
        if isCertain {
            (slope, rest) = (across + error / 2, error)
        } else {
            slope = (across * across + error * error).squareRoot()
            let least = Double(PlaneCode.radiusMin(planes: planes))
            rest = slope > 0 ? min(error, error * error / (2 * slope * least)) : error
        }
        // The reach is above zero, so that a row with an infinite radius always passes.
        return facet_plane_limit(
            scale: scale, reach: Float(max(width * slope, 1e-9)), slack: Float(width * rest) + PlaneCode.rounding,
            bound: bound)
    }
}
