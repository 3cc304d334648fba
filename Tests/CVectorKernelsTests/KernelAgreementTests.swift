import CVectorKernels
import Testing

/// The same generator everywhere in these suites: seeded, so that a failure repeats.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

private enum Floats: CaseIterable {
    case ordinary, anyFinite, denormal, zeros, huge

    func next(_ generator: inout Seeded) -> Float {
        switch self {
        case .ordinary: return Float.random(in: -1...1, using: &generator)
        case .anyFinite:
            let bits = UInt32(truncatingIfNeeded: generator.next())
            let value = Float(bitPattern: bits)
            return value.isFinite ? value : Float(bitPattern: bits & 0xBFFF_FFFF)
        case .denormal: return Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()) & 0x807F_FFFF)
        case .zeros:
            let choice: [Float] = [0, -0.0, 1, -1, .leastNonzeroMagnitude]
            return choice[Int(generator.next() % 5)]
        case .huge: return Bool.random(using: &generator) ? .greatestFiniteMagnitude : -.greatestFiniteMagnitude
        }
    }
}

private func scores(_ variant: Int32?, _ query: [Double], _ rows: [Float], _ count: Int) -> [UInt32] {
    var out = [Float](repeating: .nan, count: count + 1)
    if let variant {
        facet_score_rows_with(variant, query, rows, count, query.count, &out)
    } else {
        facet_score_rows(query, rows, count, query.count, &out)
    }
    #expect(out[count].isNaN, "nothing is written past the last score")
    return out.prefix(count).map(\.bitPattern)
}

/// The definition, in Swift, a lane at a time.
private func definition(_ query: [Double], _ row: ArraySlice<Float>) -> UInt32 {
    var s = [Double](repeating: 0, count: 8)
    for (index, value) in row.enumerated() { s[index % 8] += query[index] * Double(value) }
    return Float(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))).bitPattern
}

private var supported: [Int32] { (0..<facet_kernel_count()).filter { facet_kernel_supported($0) == 1 } }

@Test(arguments: Floats.allCases)
private func everyVariantGivesTheScalarBits(_ floats: Floats) {
    var generator = Seeded(state: 7)
    for round in 0..<120 {
        let dimension = 8 * Int.random(in: 1...(round % 10 == 0 ? 256 : 40), using: &generator)
        let count = Int.random(in: 0...21, using: &generator)
        let query = (0..<dimension).map { _ in Double(floats.next(&generator)) }
        let rows = (0..<dimension * count).map { _ in floats.next(&generator) }
        let expected = (0..<count).map { definition(query, rows[$0 * dimension..<($0 + 1) * dimension]) }
        for variant in supported {
            #expect(scores(variant, query, rows, count) == expected, "variant \(variant), \(dimension) x \(count)")
        }
        #expect(scores(nil, query, rows, count) == expected)
    }
}

@Test private func rowsNeedOnlyTheAlignmentOfAFloat() {
    var generator = Seeded(state: 8)
    let dimension = 72
    let query = (0..<dimension).map { _ in Double(Floats.ordinary.next(&generator)) }
    let rows = (0..<dimension * 6 + 3).map { _ in Floats.ordinary.next(&generator) }
    for shift in 0..<4 {
        let expected = (0..<5).map { row in
            definition(query, rows[shift + row * dimension..<shift + (row + 1) * dimension])
        }
        for variant in supported {
            var out = [Float](repeating: 0, count: 5)
            rows.withUnsafeBufferPointer { all in
                facet_score_rows_with(variant, query, all.baseAddress.map { $0 + shift }, 5, dimension, &out)
            }
            #expect(out.map(\.bitPattern) == expected)
        }
    }
}

@Test private func theChosenVariantIsTheLastSupported() {
    #expect(facet_kernel_chosen() == supported.last)
    #expect(facet_kernel_supported(0) == 1)
    #expect(String(cString: facet_kernel_name(0)) == "scalar")
}

@Test private func selectionEqualsAFilter() {
    var generator = Seeded(state: 9)
    for _ in 0..<2_000 {
        let count = Int.random(in: 0...100, using: &generator)
        let scores = (0..<count).map { _ in
            let value = (Float.random(in: -1...1, using: &generator) * 8).rounded() / 8
            return generator.next() % 50 == 0 ? Float.nan : value
        }
        let bound = (Float.random(in: -1.2...1.2, using: &generator) * 8).rounded() / 8
        // One place more than the room promised, to see that it stays untouched.
        var positions = [UInt32](repeating: .max, count: count + 1)
        let found = facet_select_at_least(scores, count, bound, &positions)
        #expect(positions.prefix(found).map(Int.init) == scores.indices.filter { scores[$0] >= bound })
        #expect(positions[count] == .max)
    }
}
