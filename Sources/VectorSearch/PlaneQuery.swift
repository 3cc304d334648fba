import CVectorKernels
package import FaceModel

/// A query as the plane kernels take it: codes of 6 bits in the tables they read, and what the codes lose.
///
/// Codes `Q` stand for `g Q = q + v` with `g` such that `<g Q, q> = 1` and `v` across `q`: scaled by least squares,
/// scores of near pairs would come out too low, which is where a miss hurts. `v` adds `<x, v> / <x, o>` to the
/// estimate: by the same argument as in `PlaneCode` normal with deviation at most `|v| sqrt(1 + r^2) / sqrt(d - 1)`, `r`
/// the row's radius. It is a sawtooth of the query's components, finer by 20 than anything the row's term depends on, so
/// the two are independent unless the pair is all but equal; there the row's term vanishes, and what is allowed for the
/// query's is twice its deviation.
package struct PlaneQuery: Sendable {
    /// Codes are padded to whole 256 components, the most that a kernel reads at once.
    private static let codesRead = 256

    /// False for a vector that is no rotated one: its norm is not 1. It is compared with every row exactly.
    package let isUsable: Bool
    /// Whether estimates are trusted by `sigmas`, or, for an unlikely vector and for infinite `sigmas`, only as far as
    /// the Cauchy bound.
    package let isCertain: Bool
    /// What stands for `sigmas / sqrt(d - 1)`.
    private let width: Double
    /// Half of `g`: kernels double the sums, to keep them whole.
    let scale: Float
    /// The length of `v`.
    let error: Double
    private let codes: [Int8]
    private let byBit: [Int8]
    private let sums: [UInt8]
    private let offset: Int32
    let total: Int32
    private let groups: Int

    package var dimension: Int { 8 * groups }

    /// `sigmas` is above 0, infinity for certain bounds; anything else is a programming error.
    package init(_ vector: RotatedVector, sigmas: Double = PlaneCode.sigmasDefault) {
        precondition(sigmas > 0, "a bound has a width")
        let values = vector.values.map(Double.init)
        let dimension = values.count
        groups = dimension / 8
        let square = values.reduce(0) { $0 + $1 * $1 }
        let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 }
        let largest = values.reduce(0) { max($0, abs($1)) }
        let usable = abs(square - 1) <= Double(PlaneCode.normTolerance)
        isUsable = usable
        let unlikely = !(Double(dimension) * fourth <= Double(PlaneCode.fourthMomentMax(dimension)) * square * square)
        let wide = sigmas / Double(dimension - 1).squareRoot()
        isCertain = unlikely || wide >= 1
        width = isCertain ? 1 : wide

        let step = usable ? largest / Double(FACET_QUERY_CODE_MAX) : 1
        let exact = values.map { usable ? ($0 / step).rounded() : 0 }
        let along = zip(exact, values).reduce(0) { $0 + $1.0 * $1.1 } / square.squareRoot()
        let gain = usable ? 1 / along : 0
        error = max(0, gain * gain * exact.reduce(0) { $0 + $1 * $1 } - 1).squareRoot()
        scale = Float(gain / 2)
        let padding = (Self.codesRead - dimension % Self.codesRead) % Self.codesRead
        codes = exact.map { Int8($0) } + [Int8](repeating: 0, count: padding)
        total = codes.reduce(0) { $0 + Int32($1) }
        var byBit = [Int8](repeating: 0, count: codes.count)
        var sums = [UInt8](repeating: 0, count: dimension * 4)
        offset = facet_plane_prepare(codes, groups, &byBit, &sums)
        self.byBit = byBit
        self.sums = sums
    }

    /// What a row whose first `planes` planes are read must reach to have a chance of a score of `bound`.
    ///
    /// Let `t` be the bound as far as it is positive; a row with cosine `c >= bound` has at most `s = sqrt(1 - t^2)` of
    /// the query across it. Its estimate is at least `c - width e` with
    /// - for certain bounds `e = r s + |v| sqrt(1 + r^2)`, and `sqrt(1 + r^2) <= 1 + r / 2`;
    /// - else `e^2 = r^2 s^2 + |v|^2 (1 + r^2)`, that is `e = sqrt(r^2 a^2 + |v|^2)` with `a^2 = s^2 + |v|^2`, which is
    ///   at most `r a + |v|` and, `r` being at least `m`, at most `r a + |v|^2 / (2 a m)`.
    func limit(_ bound: Float, planes: Int) -> facet_plane_limit {
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

    /// Calls `body` with the tables in place.
    func withTables<Result>(_ body: (UnsafePointer<facet_plane_query>) -> Result) -> Result {
        codes.withUnsafeBufferPointer { codes in
            byBit.withUnsafeBufferPointer { byBit in
                sums.withUnsafeBufferPointer { sums in
                    var query = facet_plane_query(
                        codes: codes.baseAddress, by_bit: byBit.baseAddress, sums: sums.baseAddress, offset: offset,
                        total: total, groups: groups)
                    return body(&query)
                }
            }
        }
    }
}
