import ClusterModel
import FaceModel
import VectorSearch

/// A sampled face and the number of its bucket among the ranked ones.
struct HomedFace: Sendable {
    var face: SampledFace
    var home: Int
}

/// Faces from which is learnt how far down its probe's ranking the bucket of a best mate stands.
struct MateSample: Sendable {
    /// Below so many probes with mates, mates are simulated.
    static let matesMin = 200
    /// Probes whose buckets are ranked: one costs as much as a search's choice of buckets.
    static let probesMax = 1_000
    /// Faces of one name that are compared with each other.
    private static let facesPerNameMax = 16
    /// What is assumed of a model nobody measured.
    private static let assumed = MateScatter(cosineMean: 0.6, cosineDeviation: 0.12)

    private let faces: [HomedFace]
    private let ranking: BucketRanking

    init(_ faces: [HomedFace], ranking: BucketRanking) {
        self.faces = faces
        self.ranking = ranking
    }

    /// From the collection's own mates where there are enough, else from simulated ones.
    func curve(scatter: MateScatter?, using generator: inout some RandomNumberGenerator) -> CoverageCurve {
        let own = ownMates()
        if own.count >= Self.matesMin {
            return curve(of: own.prefix(Self.probesMax), source: .mates)
        }
        let simulated = simulatedMates(scatter ?? Self.assumed, using: &generator)
        return curve(of: simulated[...], source: scatter == nil ? .assumed : .model)
    }

    private func curve(of mates: ArraySlice<(probe: RotatedVector, home: Int)>, source: CoverageCurve.Source)
        -> CoverageCurve
    {
        let ranks = mates.compactMap { mate in
            ranking.order(mate.probe, first: ranking.count).firstIndex(of: mate.home)
        }
        return CoverageCurve(ranks: ranks, buckets: ranking.count, source: source)
    }

    /// Each face that has mates as a probe, with the bucket of the nearest of them.
    private func ownMates() -> [(probe: RotatedVector, home: Int)] {
        var named: [ExternalImageID: [HomedFace]] = [:]
        for face in faces {
            guard let name = face.face.externalImageID, named[name, default: []].count < Self.facesPerNameMax else {
                continue
            }
            named[name, default: []].append(face)
        }
        return faces.compactMap { probe in
            guard let name = probe.face.externalImageID else { return nil }
            let mates = named[name, default: []].filter { Self.areMates($0.face, probe.face) }
            let best = mates.max { probe.face.vector.dot($0.face.vector) < probe.face.vector.dot($1.face.vector) }
            return best.map { (probe.face.vector, $0.home) }
        }
    }

    /// Of one name and of different images; of faces without images, which clients brought as vectors, any two.
    private static func areMates(_ a: SampledFace, _ b: SampledFace) -> Bool {
        guard a.id != b.id else { return false }
        switch (a.imageID, b.imageID) {
        case (let a?, let b?): return a != b
        case (nil, nil): return true
        case (nil, _?), (_?, nil): return false
        }
    }

    /// Each face with a probe that is as near to it as images of one person are to each other.
    private func simulatedMates(
        _ scatter: MateScatter, using generator: inout some RandomNumberGenerator
    ) -> [(probe: RotatedVector, home: Int)] {
        let others = faces.map(\.face.vector)
        return faces.prefix(Self.probesMax).map { face in
            let probe = CoverageCurve.simulatedMate(
                of: face.face.vector, cosine: scatter.cosine(using: &generator), among: others, using: &generator)
            return (probe, face.home)
        }
    }
}

extension MateScatter {
    /// A mate's cosine: about normal, as the sum of twelve even draws is, and short of equality.
    fileprivate func cosine(using generator: inout some RandomNumberGenerator) -> Float {
        let normal = (0..<12).reduce(-6.0) { sum, _ in sum + .random(in: 0..<1, using: &generator) }
        return Float(min(0.999, max(-1, cosineMean + cosineDeviation * normal)))
    }
}

extension RotatedVector {
    /// Near enough to compare mates by; scores that are returned are exact.
    fileprivate func dot(_ other: RotatedVector) -> Float {
        zip(values, other.values).reduce(0) { $0 + $1.0 * $1.1 }
    }
}
