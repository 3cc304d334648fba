import CVectorKernels
import Testing

private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func float() -> Float { Float.random(in: -1...1, using: &self) }

    mutating func normal() -> Float {
        (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &self) }
    }
}

private let tileRows = Int(FACET_TILE_ROWS)
private var supported: [Int32] { (0..<facet_kernel_count()).filter { facet_plane_supported($0) == 1 } }

private struct Query {
    let codes: [Int8]
    let byBit: [Int8]
    let sums: [UInt8]
    let offset: Int32
    let groups: Int

    init(_ dimension: Int, _ generator: inout Seeded, extreme: Bool) {
        groups = dimension / 8
        // A run's sizes add up to what a byte holds, or exactly that where `extreme`.
        codes = (0..<(dimension + 255) / 256 * 256).map { index in
            let isSparse = extreme || index / Int(FACET_QUERY_RUN) % 3 == 0
            let place = (index + 5) % Int(FACET_QUERY_RUN)
            let most: Int8 = index >= dimension ? 0 : !isSparse ? 7 : place < 8 ? 31 : extreme && place == 8 ? 7 : 0
            if extreme { return Bool.random(using: &generator) ? most : -most }
            return Int8.random(in: -most...most, using: &generator)
        }
        var byBit = [Int8](repeating: 0, count: codes.count)
        var sums = [UInt8](repeating: 0, count: dimension * 4)
        offset = facet_plane_prepare(codes, groups, &byBit, &sums)
        self.byBit = byBit
        self.sums = sums
    }

    func with<Result>(_ body: (UnsafePointer<facet_plane_query>) -> Result) -> Result {
        codes.withUnsafeBufferPointer { codes in
            byBit.withUnsafeBufferPointer { byBit in
                sums.withUnsafeBufferPointer { sums in
                    var query = facet_plane_query(
                        codes: codes.baseAddress, by_bit: byBit.baseAddress, sums: sums.baseAddress, offset: offset,
                        total: codes.reduce(0) { $0 + Int32($1) }, groups: groups)
                    return body(&query)
                }
            }
        }
    }
}

private struct Found: Equatable {
    var positions: [UInt32]
    var sums: [Int32]
}

/// Memory aligned as the kernels want it, whose end is checked to stay as it was.
private final class Bytes {
    let base: UnsafeMutablePointer<UInt8>
    let count: Int
    private static let guardBytes = 64

    init(_ count: Int, slack: Int = 0) {
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(byteCount: count + slack + Self.guardBytes, alignment: 64)
        base = raw.bindMemory(to: UInt8.self, capacity: count + slack + Self.guardBytes)
        base.initialize(repeating: 0xA5, count: count + slack + Self.guardBytes)
    }

    deinit { base.deallocate() }

    var contents: [UInt8] { Array(UnsafeBufferPointer(start: base, count: count)) }
    var isWithin: Bool { (0..<Self.guardBytes).allSatisfy { base[count + $0] == 0xA5 } }
    func floats(at offset: Int) -> UnsafeMutablePointer<Float> {
        UnsafeMutableRawPointer(base + offset).assumingMemoryBound(to: Float.self)
    }
}

private func randomTiles(_ count: Int, planes: Int, groups: Int, _ generator: inout Seeded) -> Bytes {
    let planeBytes = planes * groups * tileRows
    let tiles = Bytes(count * (planeBytes + Int(FACET_TILE_FACTOR_BYTES)))
    let dense = generator.next() % 4 == 0
    for index in 0..<tiles.count { tiles.base[index] = dense ? 0xFF : UInt8(truncatingIfNeeded: generator.next()) }
    for tile in 0..<count {
        let factors = tiles.floats(at: tile * (planeBytes + Int(FACET_TILE_FACTOR_BYTES)) + planeBytes)
        for row in 0..<tileRows {
            let none = generator.next() % 40 == 0
            factors[row] = none ? 0 : Float.random(in: 0.01...0.2, using: &generator)
            factors[tileRows + row] = none ? .infinity : Float.random(in: 0...1.3, using: &generator)
        }
    }
    return tiles
}

private func randomLimit(_ generator: inout Seeded) -> facet_plane_limit {
    let bounds: [Float] = [0.37, 0, -0.2, .infinity, -.infinity, .nan]
    return facet_plane_limit(
        scale: Float.random(in: 0.0001...0.01, using: &generator),
        reach: Float.random(in: 1e-9...0.5, using: &generator),
        slack: 0.003, bound: generator.next() % 2 == 0 ? generator.float() : bounds[Int(generator.next() % 6)])
}

/// What planes sum up to, and the rows that are chosen by it.
@Test(arguments: [false, true]) private func everyVariantScansAsTheScalarOneDoes(_ extreme: Bool) {
    var generator = Seeded(state: extreme ? 1 : 2)
    for round in 0..<80 {
        let planes = Int.random(in: 1...4, using: &generator)
        let groups = Int.random(in: 1...[256, 32, 21, 16][planes - 1], using: &generator)
        let tiles = Int.random(in: 0...3, using: &generator)
        let queries = (0..<1 + round % 4).map { _ in Query(groups * 8, &generator, extreme: extreme) }
        let memory = randomTiles(tiles, planes: planes, groups: groups, &generator)
        let expected = sums(0, queries, memory, tiles, planes)
        var limit = randomLimit(&generator)
        for (query, rowSums) in zip(queries, expected) {
            let chosen = choose(0, query, rowSums, memory, tiles, planes, &limit)
            for variant in supported {
                #expect(choose(variant, query, rowSums, memory, tiles, planes, &limit) == chosen, "round \(round)")
            }
            // Every row passes, with the sum that the definition gives.
            var all = limit
            all.bound = -.infinity
            let every = choose(0, query, rowSums, memory, tiles, planes, &all)
            #expect(every.positions == (0..<UInt32(tiles * tileRows)).map { $0 })
            #expect(every.sums == definition(query, memory, tiles, planes))
        }
        for variant in supported {
            #expect(
                sums(variant, queries, memory, tiles, planes) == expected,
                "round \(round), variant \(variant), \(queries.count) queries, \(planes) planes of \(groups) bytes")
        }
    }
}

/// Every dimension that a collection may have, each number of queries, one plane after another.
@Test private func planesAddUpOntoThoseBefore() {
    var generator = Seeded(state: 6)
    for groups in stride(from: 8, through: 256, by: 1) {
        let queries = (0..<1 + groups % 4).map { _ in Query(groups * 8, &generator, extreme: groups % 5 == 0) }
        let first = randomTiles(2, planes: 1, groups: groups, &generator)
        let second = randomTiles(2, planes: 1, groups: groups, &generator)
        let before = sums(0, queries, first, 2, 1)
        let added = sums(0, queries, second, 2, 1)
        let both = zip(before, added).map { zip($0, $1).map { 2 * $0 + $1 } }
        for variant in supported { #expect(sums(variant, queries, second, 2, 1, onto: before) == both, "\(groups)") }
    }
}

@Test private func everyVariantTurnsRowsIntoColumns() {
    var generator = Seeded(state: 7)
    for rowBytes in Array(8...70) + [128, 129, 255, 256, 512] {
        let tiles = rowBytes % 3
        let count = tiles * tileRows
        let rows = (0..<count * rowBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        let factors = (0..<2 * count).map { _ in generator.float() }
        let tileBytes = rowBytes * tileRows + Int(FACET_TILE_FACTOR_BYTES)
        for variant in supported {
            let columns = Bytes(tiles * tileBytes)
            facet_plane_columns_with(variant, rows, rowBytes, factors, tiles, columns.base)
            #expect(columns.isWithin)
            let isTurned = (0..<count).allSatisfy { row in
                let tile = row / tileRows * tileBytes
                let spread = columns.floats(at: tile + rowBytes * tileRows)
                let within = row % tileRows
                return spread[within] == factors[2 * row] && spread[tileRows + within] == factors[2 * row + 1]
                    && (0..<rowBytes).allSatisfy {
                        columns.base[tile + $0 * tileRows + within] == rows[row * rowBytes + $0]
                    }
            }
            #expect(isTurned, "variant \(variant), \(rowBytes) bytes")
        }
    }
}

private func sums(
    _ variant: Int32, _ queries: [Query], _ tiles: Bytes, _ count: Int, _ planes: Int, onto: [[UInt16]]? = nil
) -> [[UInt16]] {
    let room = count * tileRows
    let memory = queries.map { _ in UnsafeMutablePointer<UInt16>.allocate(capacity: room + 1) }
    defer { for pointer in memory { pointer.deallocate() } }
    for (at, pointer) in memory.enumerated() {
        for row in 0...room { pointer[row] = row < room ? onto?[at][row] ?? 0xBEEF : 0xBEEF }
    }
    var into = memory.map(Optional.init)
    var tables: [facet_plane_query] = []
    let tileBytes = planes * (queries[0].groups * tileRows) + Int(FACET_TILE_FACTOR_BYTES)
    func run(_ at: Int) {
        guard at < queries.count else {
            return facet_plane_sums_with(
                variant, tables, tables.count, tiles.base, tileBytes, count, Int32(planes), onto == nil ? 0 : 1, &into)
        }
        queries[at].with {
            tables.append($0.pointee)
            run(at + 1)
        }
    }
    run(0)
    #expect(memory.allSatisfy { $0[room] == 0xBEEF }, "nothing is written past the room")
    return memory.map { Array(UnsafeBufferPointer(start: $0, count: room)) }
}

private func choose(
    _ variant: Int32, _ query: Query, _ rowSums: [UInt16], _ tiles: Bytes, _ count: Int, _ planes: Int,
    _ limit: inout facet_plane_limit
) -> Found {
    let room = count * tileRows
    var positions = [UInt32](repeating: .max, count: room + 1)
    var sums = [Int32](repeating: .max, count: room + 1)
    let planeBytes = planes * query.groups * tileRows
    let found = query.with {
        facet_plane_select_with(
            variant, $0, rowSums, tiles.base + planeBytes, planeBytes + Int(FACET_TILE_FACTOR_BYTES), count,
            Int32(planes), &limit, &positions, &sums)
    }
    #expect(positions[room] == .max && sums[room] == .max, "nothing is written past the room")
    return Found(positions: Array(positions.prefix(found)), sums: Array(sums.prefix(found)))
}

private func definition(_ query: Query, _ tiles: Bytes, _ count: Int, _ planes: Int) -> [Int32] {
    let planeBytes = query.groups * tileRows
    return (0..<count * tileRows).map { row in
        let tile = tiles.base + row / tileRows * (planes * planeBytes + Int(FACET_TILE_FACTOR_BYTES))
        var sum: Int32 = 0
        for component in 0..<query.groups * 8 {
            var code: Int32 = 0
            for plane in 0..<planes {
                let byte = tile[plane * planeBytes + component / 8 * tileRows + row % tileRows]
                code = 2 * code + Int32(byte >> UInt8(component % 8) & 1)
            }
            sum += code * Int32(query.codes[component])
        }
        return sum
    }
}

@Test private func everyVariantRefinesAsTheDefinitionSays() {
    var generator = Seeded(state: 3)
    for round in 0..<60 {
        let planes = Int.random(in: 1...3, using: &generator)
        let before = Int.random(in: 1...4 - planes, using: &generator)
        let groups = Int.random(in: 8...(round % 5 == 0 ? 256 : 40), using: &generator)
        let query = Query(groups * 8, &generator, extreme: round % 3 == 0)
        let rowCount = 50
        let rows = Bytes(rowCount * planes * groups, slack: Int(FACET_PLANE_SLACK))
        for index in 0..<rows.count { rows.base[index] = UInt8(truncatingIfNeeded: generator.next()) }
        let factors = (0..<2 * rowCount).map { _ in Float.random(in: 0.01...1, using: &generator) }
        let chosen = (0..<UInt32(rowCount)).filter { _ in Bool.random(using: &generator) }
        let sums = chosen.map { _ in Int32.random(in: -60_000...60_000, using: &generator) }
        for limit in [randomLimit(&generator), facet_plane_limit(scale: 1, reach: 1, slack: 0, bound: -.infinity)] {
            let results = supported.map { variant -> Found in
                var limit = limit
                var found = Found(positions: chosen, sums: sums)
                let kept = query.with {
                    facet_plane_refine_with(
                        variant, $0, rows.base, factors, Int32(before), Int32(planes), &limit, &found.positions,
                        &found.sums, chosen.count)
                }
                return Found(positions: Array(found.positions.prefix(kept)), sums: Array(found.sums.prefix(kept)))
            }
            #expect(results.allSatisfy { $0 == results[0] }, "round \(round), \(planes) planes of \(groups) bytes")
            guard limit.bound == -.infinity else { continue }
            let expected = zip(chosen, sums).map { row, sum in
                sum << Int32(planes) + bits(query, rows.base + Int(row) * planes * groups, planes)
            }
            #expect(results[0] == Found(positions: chosen, sums: expected))
        }
    }
}

private func bits(_ query: Query, _ row: UnsafePointer<UInt8>, _ planes: Int) -> Int32 {
    (0..<planes).reduce(0) { sum, plane in
        (0..<query.groups * 8).reduce(2 * sum) { sum, component in
            let bit = row[plane * query.groups + component / 8] >> UInt8(component % 8) & 1
            return sum + Int32(bit) * Int32(query.codes[component])
        }
    }
}

private struct Encoded: Equatable {
    var parts: [[UInt8]]
}

private func encode(_ variant: Int32, _ rows: [Float], _ dimension: Int, first: Int) -> Encoded {
    let groups = dimension / 8
    let later = first == 1 ? [1, 2] : first < 4 ? [4 - first] : []
    var layout = facet_plane_layout(
        first: Int32(first), stages: Int32(later.count),
        planes: (Int32(later.first ?? 0), Int32(later.count > 1 ? later[1] : 0)))
    var rules = facet_plane_rules(
        norm_tolerance: 1e-5, fourth_moment_max: 6, radius_max: 1.33, radius_min: (0.5, 0.25, 0.13, 0.07),
        radius_slack: 4e-6,
        steps: (0.26, 0.3, 0.34, 0.38), deciding_planes: first == 4 ? 4 : 3)
    let tile = Bytes(first * groups * tileRows + Int(FACET_TILE_FACTOR_BYTES))
    let planeRows = (0..<2).map { Bytes(tileRows * groups * (later.count > $0 ? later[$0] : 0)) }
    let factors = (0..<2).map { Bytes(later.count > $0 ? tileRows * 8 : 0) }
    var target = facet_plane_target(
        tile: tile.base, rows: (planeRows[0].base, planeRows[1].base),
        factors: (factors[0].floats(at: 0), factors[1].floats(at: 0)))
    facet_plane_encode_with(variant, rows, dimension, &layout, &rules, &target)
    let parts = [tile] + planeRows + factors
    #expect(parts.allSatisfy { $0.isWithin })
    return Encoded(parts: parts.map(\.contents))
}

@Test private func everyVariantEncodesTheSameBytes() {
    var generator = Seeded(state: 4)
    for _ in 0..<24 {
        let first = Int.random(in: 1...4, using: &generator)
        let dimension = 8 * Int.random(in: 8...(first == 1 ? 256 : 16 * 5 - 16 * first), using: &generator)
        var rows: [Float] = []
        for row in 0..<tileRows {
            var values = (0..<dimension).map { _ in generator.normal() }
            if row % 8 == 1 { values[5] = 900 }
            if row % 8 == 3 { values = values.map { $0 < 0 ? -1 : 1 } }
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            values = values.map { $0 / norm }
            if row == 13 { values[0] = .nan }
            if row == 14 { values = values.map { $0 * 2 } }
            if row == 15 { values = values.map { _ in 0 } }
            if row == 16 { values[1] = .greatestFiniteMagnitude }
            rows += values
        }
        let expected = encode(0, rows, dimension, first: first)
        for variant in supported { #expect(encode(variant, rows, dimension, first: first) == expected) }
        checkFactors(expected, rows, dimension, first: first)
    }
}

/// Factor and radius of the first prefix against their definition, in double, from the bits that were written.
private func checkFactors(_ encoded: Encoded, _ rows: [Float], _ dimension: Int, first: Int) {
    let tile = encoded.parts[0]
    let planeBytes = dimension / 8 * tileRows
    let factors = tile[(first * planeBytes)...].withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    for row in 0..<tileRows {
        let values = rows[row * dimension..<(row + 1) * dimension].map(Double.init)
        let square = values.reduce(0) { $0 + $1 * $1 }
        let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } * Double(dimension) / (square * square)
        guard abs(square - 1) < 1e-5, fourth < 6, factors[tileRows + row] < .infinity else {
            #expect(factors[row] == 0 && factors[tileRows + row] == .infinity)
            #expect(!(abs(square - 1) < 9e-6 && fourth < 4), "an ordinary row is estimated")
            continue
        }
        let code = (0..<dimension).map { component in
            let bits = (0..<first).reduce(0) { sum, plane in
                2 * sum + Int(tile[plane * planeBytes + component / 8 * tileRows + row] >> UInt8(component % 8) & 1)
            }
            return Double(bits) + 0.5 - Double(1 << (first - 1))
        }
        let along = zip(code, values).reduce(0) { $0 + $1.0 * $1.1 }
        // Below zero only by rounding, where a row is its own code.
        let across = max(0, code.reduce(0) { $0 + $1 * $1 } - along * along / square)
        #expect(abs(Double(factors[row]) * along / square - 1) < 2e-6)
        let radius = max(across.squareRoot() * square / along, [0.5, 0.25, 0.13, 0.07][first - 1])
        #expect(abs(Double(factors[tileRows + row]) - radius) < 1e-4 + 2e-3)
    }
}

@Test private func chosenRowsScoreAsTheyDoInARow() {
    var generator = Seeded(state: 5)
    for _ in 0..<200 {
        let dimension = 8 * Int.random(in: 1...40, using: &generator)
        let query = (0..<dimension).map { _ in Double(generator.float()) }
        let rows = (0..<dimension * 30).map { _ in generator.float() }
        let count = Int.random(in: 0...21, using: &generator)
        let chosen = (0..<count).map { _ in UInt32.random(in: 0..<30, using: &generator) }
        var every = [Float](repeating: 0, count: 30)
        facet_score_rows_with(0, query, rows, 30, dimension, &every)
        for variant in (0..<facet_kernel_count()).filter({ facet_kernel_supported($0) == 1 }) {
            var scores = [Float](repeating: .nan, count: chosen.count + 1)
            facet_score_chosen_with(variant, query, rows, chosen, chosen.count, dimension, &scores)
            #expect(scores.prefix(chosen.count).map(\.bitPattern) == chosen.map { every[Int($0)].bitPattern })
            #expect(scores[chosen.count].isNaN)
        }
    }
}

@Test private func theVariantInUseIsTheLastSupported() {
    #expect(facet_plane_chosen() == supported.last)
    #expect(facet_plane_supported(0) == 1 && facet_plane_supported(99) == 0)
}
