import FaceModel
import VectorSearch

/// What a client without the rotation's key may send: shapes as far from faces as can be, each of them before rotation.
enum ChosenShape: CaseIterable {
    case oneHot, twoLevel, allEqual, alternating, firstHalf, secondHalf, tinyAndHuge, hugeAndTiny, denormal, corners
    case walsh, geometric

    func embedding(_ dimension: Int, _ generator: inout Seeded) -> Embedding {
        let at = Int.random(in: 0..<dimension, using: &generator)
        let sign: Float = generator.next() & 1 == 0 ? 1 : -1
        return Embedding((0..<dimension).map { component($0, of: dimension, at: at, sign, &generator) })
    }

    private func component(
        _ index: Int, of dimension: Int, at: Int, _ sign: Float, _ generator: inout Seeded
    ) -> Float {
        switch self {
        case .oneHot: index == at ? sign : 0
        case .twoLevel: generator.next() & 1 == 0 ? 1 : 0.25
        case .allEqual: sign
        case .alternating: index % 2 == 0 ? sign : -sign
        case .firstHalf: index < dimension / 2 ? Float(generator.normal()) : 0
        case .secondHalf: index < dimension / 2 ? 0 : Float(generator.normal())
        case .tinyAndHuge: index == at ? 1e18 : Float(generator.normal())
        case .hugeAndTiny: index == at ? 1e-18 : Float(generator.normal())
        case .denormal: index == at ? sign : .leastNonzeroMagnitude * Float(index)
        // Every component where two cells of the code meet.
        case .corners: 0.34 * Float(Int.random(in: -7...7, using: &generator)) + 1e-4 * sign
        case .walsh: (index & at).nonzeroBitCount % 2 == 0 ? 1 : -1
        case .geometric: Float(Double(sign) * Double(index - dimension / 2).magnitude * 1e-3 + Double(index % 3))
        }
    }
}

/// What an attacker does to a vector that is enrolled.
enum Alteration: CaseIterable {
    case none, lastBit, oneSign, halfTheSigns, allSigns, reversed, nudged, scaled

    func apply(to embedding: Embedding, _ generator: inout Seeded) -> Embedding {
        var values = embedding.values
        let at = Int.random(in: 0..<values.count, using: &generator)
        switch self {
        case .none: break
        case .lastBit: values[at] = Float(bitPattern: values[at].bitPattern ^ 1)
        case .oneSign: values[at] = -values[at]
        case .halfTheSigns: for index in values.indices where generator.next() & 1 == 0 { values[index].negate() }
        case .allSigns: for index in values.indices { values[index].negate() }
        case .reversed: values.reverse()
        case .nudged: for index in values.indices { values[index] += 1e-4 * Float(generator.normal()) * 0.1 }
        case .scaled: for index in values.indices { values[index] *= 1e-3 }
        }
        return Embedding(values)
    }
}

extension PlaneRows {
    /// The search by planes and one of every row by the definition: nil where they are equal, rows, order and bits.
    func difference(
        _ query: [Float], limit: Int, minScore: Float, sigmas: Double = PlaneCode.sigmasDefault
    ) -> String? {
        let prepared = PreparedQuery(RotatedVector(rotated: query), sigmas: sigmas)
        var found = TopK(limit: limit, minScore: minScore)
        var counts = PlaneCounts()
        let none = RowBitmap()
        _ = scan(prepared, vectors.indices, dead: none, byPlanes: true, into: &found, counts: &counts)
        let expected = definition(query).filter { $0.score >= minScore }.sorted(by: Match.precedes).prefix(limit)
        let matches = found.sorted().map(\.match)
        guard matches != Array(expected) else { return nil }
        return "limit \(limit), threshold \(minScore), sigmas \(sigmas): \(matches.count) of \(expected.count), "
            + "\(Set(expected).subtracting(matches).map(\.score)) missed"
    }

    /// Scores as the kernels' header defines them, a row at a time in doubles.
    func definition(_ query: [Float]) -> [Match] {
        let wide = stride(from: 0, to: dimension, by: 8).map { at in
            SIMD8<Double>((at..<at + 8).map { Double(query[$0]) })
        }
        return zip(vectors, ids).map { vector, id in
            let s = vector.withUnsafeBytes { bytes in
                wide.indices.reduce(into: SIMD8<Double>.zero) { sum, group in
                    let floats = bytes.loadUnaligned(fromByteOffset: group * 32, as: SIMD8<Float>.self)
                    sum += wide[group] * SIMD8<Double>(floats)
                }
            }
            return Match(face: id, score: Float(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))))
        }
    }
}
