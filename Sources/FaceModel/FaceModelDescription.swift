import Glibc

/// The model behind a collection's vectors, as its manifest describes it. A collection is bound to `version` for life.
package struct FaceModelDescription: Hashable, Sendable {
    /// For people: "yunet-2023mar+sface-2021dec".
    package var name: String
    /// On the wire as FaceModelVersion; digits and dots.
    package var version: String
    /// Length of an embedding.
    package var dimension: Int
    /// SHA-256 over the manifest: what the ledger records as the model.
    package var digest: [UInt8]
    /// Missing for a model nobody calibrated: then there is no similarity, only cosine.
    package var calibration: SimilarityCalibration?
    /// Missing for a model nobody measured.
    package var scatter: MateScatter?

    package init(
        name: String, version: String, dimension: Int, digest: [UInt8], calibration: SimilarityCalibration?,
        scatter: MateScatter? = nil
    ) {
        self.name = name
        self.version = version
        self.dimension = dimension
        self.digest = digest
        self.calibration = calibration
        self.scatter = scatter
    }
}

/// How near two images of one person are to each other: mean and standard deviation of their cosine.
package struct MateScatter: Hashable, Sendable {
    package var cosineMean: Double
    package var cosineDeviation: Double
    package init(cosineMean: Double, cosineDeviation: Double) {
        self.cosineMean = cosineMean
        self.cosineDeviation = cosineDeviation
    }
}

/// A monotone map between cosine and similarity (0...100), fixed by points whose false-match rate was measured.
///
/// Cosine 0 and below is similarity 0, cosine 1 is 100; between the points both maps are straight lines,
/// the logarithm of the false-match rate included. Above the last point the rate stays that point's, an upper bound.
package struct SimilarityCalibration: Hashable, Sendable {
    package struct Point: Hashable, Sendable {
        package var similarity: Double
        package var cosine: Double
        /// 95 % interval of `cosine` where the rate was measured; equal ends where it was extrapolated.
        package var cosineLow: Double
        package var cosineHigh: Double
        /// Share of pairs of different people, one image each, that score at least `cosine`.
        package var falseMatchRate: Double
        /// True where the tail was extended beyond what the data could show.
        package var extrapolated: Bool

        package init(
            similarity: Double, cosine: Double, cosineLow: Double, cosineHigh: Double,
            falseMatchRate: Double, extrapolated: Bool
        ) {
            self.similarity = similarity
            self.cosine = cosine
            self.cosineLow = cosineLow
            self.cosineHigh = cosineHigh
            self.falseMatchRate = falseMatchRate
            self.extrapolated = extrapolated
        }
    }

    package let points: [Point]

    /// Nil unless there is a point and similarity and cosine both rise strictly inside (0, 100) and (0, 1) while
    /// the rate falls.
    package init?(points: [Point]) {
        guard let first = points.first, let last = points.last, first.cosine > 0, first.similarity > 0,
            last.cosine < 1, last.similarity < 100, first.falseMatchRate < 0.5, last.falseMatchRate > 0,
            zip(points, points.dropFirst()).allSatisfy({
                $0.similarity < $1.similarity && $0.cosine < $1.cosine && $0.falseMatchRate > $1.falseMatchRate
            })
        else { return nil }
        self.points = points
    }

    package func similarity(cosine: Float) -> Double {
        Self.interpolate(Double(cosine), knots: knots.map { ($0.cosine, $0.similarity) })
    }

    /// The least cosine whose similarity is at least `similarity`.
    package func cosine(similarity: Double) -> Float {
        let exact = Self.interpolate(similarity, knots: knots.map { ($0.similarity, $0.cosine) })
        return similarity <= 0 ? -1 : Float(exact)
    }

    /// Strangers a search over `faces` faces should expect at or above `similarity`.
    package func expectedStrangers(faces: Int, similarity: Double) -> Double {
        Double(faces) * falseMatchRate(similarity: similarity)
    }

    package func falseMatchRate(similarity: Double) -> Double {
        guard similarity > 0 else { return 1 }
        let logKnots = [(0.0, -1.0)] + points.map { ($0.similarity, log2($0.falseMatchRate)) }
        return exp2(Self.interpolate(similarity, knots: logKnots))
    }

    private var knots: [(cosine: Double, similarity: Double)] {
        [(0, 0)] + points.map { ($0.cosine, $0.similarity) } + [(1, 100)]
    }

    private static func interpolate(_ x: Double, knots: [(Double, Double)]) -> Double {
        guard x > knots[0].0 else { return knots[0].1 }
        for ((x0, y0), (x1, y1)) in zip(knots, knots.dropFirst()) where x <= x1 {
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        }
        return knots[knots.count - 1].1
    }
}
