import CVectorKernels
import FaceModel
import Foundation
import VectorSearch

/// Single kernels by variant, and the other work of enrolment and search a face.
enum KernelSection {
    /// Fits the second level cache at 512 dimensions by planes, the third by floats.
    private static let rows = 4_096

    static func run(_ settings: Settings) throws {
        for dimension in settings.dimensions {
            let faces = try BenchCollection.made(settings.set, dimension: dimension, faces: rows, probes: 1)
            say("\n## Kernels: \(faces.count) rows of \(dimension), in cache, ns a row, CPU; load \(Machine.load)")
            say(
                "| variant | score fp32 | first planes added up | the same for four queries, each | rows chosen |"
                    + " refine | turned into columns | encode |")
            say("|---|---|---|---|---|---|---|---|")
            for variant in 0..<facet_kernel_count() { row(variant, faces) }
            try work(faces)
        }
    }

    private static func row(_ variant: Int32, _ faces: BenchCollection) {
        let name = String(cString: facet_kernel_name(variant))
        let scores = facet_kernel_supported(variant) == 1 ? score(variant, faces).one : "not on this processor"
        guard facet_plane_supported(variant) == 1 else { return say("| \(name) | \(scores) | | | | | | |") }
        let planes = KernelPlanes(faces)
        let figures = [
            planes.sum(variant, queries: 1).two, planes.sum(variant, queries: 4).two, planes.select(variant).two,
            planes.refine(variant)?.two ?? "", planes.turn(variant)?.two ?? "", planes.encode(variant).one,
        ]
        say("| \(name) | \(scores) | \(figures.joined(separator: " | ")) |")
    }

    private static func score(_ variant: Int32, _ faces: BenchCollection) -> Double {
        let query = faces.probes[0].values.map(Double.init)
        var scores = [Float](repeating: 0, count: faces.count)
        return Times.median(shares: faces.count) {
            facet_score_rows_with(variant, query, faces.rows, faces.count, faces.dimension, &scores)
        }
    }

    private static func work(_ faces: BenchCollection) throws {
        let rotation = try BenchCollection.rotation(faces.dimension)
        let embeddings = (0..<64).map { Embedding(faces.vector($0).values) }
        let rotate = try Times.median(shares: embeddings.count) {
            for embedding in embeddings { sink = try rotation.rotate(embedding).values[0].bitPattern }
        }
        let code = PlaneCode(dimension: faces.dimension)
        let encode = Times.median(shares: faces.count) {
            sink = UInt32(PlaneBlock(code: code, encoding: faces.rows, count: faces.count).tiles)
        }
        let prepare = Times.median(shares: 16) {
            for _ in 0..<16 { sink = UInt32(PreparedQuery(faces.probes[0]).dimension) }
        }
        let sample = (0..<BucketDivision.sampleMax).map { faces.vector($0) }
        let divide = Times.median(rounds: 3, shares: 1) { sink = BucketDivision.divide(sample) == nil ? 0 : 1 }
        say("")
        say("rotation \((rotate / 1e3).one) us a face; planes \((encode / 1e3).two) us a face")
        say("a query prepared in \((prepare / 1e3).one) us; 2-means of \(sample.count) faces \((divide / 1e6).one) ms")
        for limit in [10, 100] { say("top \(limit) over a stream of scores: \(topK(limit).two) ns a score") }
    }

    private static func topK(_ limit: Int) -> Double {
        var bits = Bits(state: 5)
        let scores = (0..<1 << 20).map { _ in Float(bits.next() >> 40) / 0x1p24 }
        var positions = [UInt32](repeating: 0, count: 512)
        return Times.median(shares: scores.count) {
            var best = TopK(limit: limit, minScore: -1)
            scores.withUnsafeBufferPointer { scores in
                guard let base = scores.baseAddress else { return }
                // As a scan does: a call selects by the bound so far, and only what it selects is offered.
                for start in stride(from: 0, to: scores.count, by: positions.count) {
                    let found = facet_select_at_least(base + start, positions.count, best.bound, &positions)
                    for hit in 0..<found {
                        let row = start + Int(positions[hit])
                        let match = Match(face: FaceID(Bits128(high: 0, low: UInt64(row))), score: base[row])
                        best.insert(match, at: RowLocator(source: .segment(1), row: row))
                    }
                }
            }
            sink = UInt32(best.count)
        }
    }
}

/// Rows coded by hand through the kernels' own interface, so that every variant can be called.
private final class KernelPlanes {
    private let faces: BenchCollection
    /// Kernels load tiles by whole registers.
    private let memory: AlignedMemory
    private let later: UnsafeMutablePointer<UInt8>
    private let factors: UnsafeMutablePointer<Float>
    private var codes: [Int8]
    private var byBit: [Int8]
    private var sums: [UInt8]
    private var offset: Int32 = 0

    private var tiles: UnsafeMutablePointer<UInt8> { memory.base.assumingMemoryBound(to: UInt8.self) }
    private var dimension: Int { faces.dimension }
    private var first: Int { faces.planes.code.first }
    private var second: Int { faces.planes.code.later.first ?? 0 }
    private var planeBytes: Int { dimension / 8 }
    private var tileBytes: Int { first * planeBytes * Int(FACET_TILE_ROWS) + Int(FACET_TILE_FACTOR_BYTES) }

    init(_ faces: BenchCollection) {
        self.faces = faces
        let dimension = faces.dimension
        let rowBytes = 4 * dimension / 8
        memory = AlignedMemory(bytes: faces.count * (rowBytes + 8))
        later = .allocate(capacity: 2 * (faces.count * rowBytes + Int(FACET_PLANE_SLACK)))
        later.initialize(repeating: 0, count: 2 * (faces.count * rowBytes + Int(FACET_PLANE_SLACK)))
        factors = .allocate(capacity: 4 * faces.count)
        let padded = (dimension + 255) / 256 * 256
        // So small that no run of codes adds up to more than a byte holds.
        let most = Float(FACET_QUERY_RUN_MAX / FACET_QUERY_RUN)
        let step = 0.25 / Float(dimension).squareRoot()
        codes = faces.probes[0].values.map { Int8(max(-most, min(most, ($0 / step).rounded()))) }
        codes += [Int8](repeating: 0, count: padded - dimension)
        byBit = [Int8](repeating: 0, count: padded)
        sums = [UInt8](repeating: 0, count: dimension * 4)
        offset = facet_plane_prepare(codes, dimension / 8, &byBit, &sums)
        encodeAll(facet_plane_chosen())
    }

    deinit {
        later.deallocate()
        factors.deallocate()
    }

    func encode(_ variant: Int32) -> Double { Times.median(shares: faces.count) { encodeAll(variant) } }

    private func encodeAll(_ variant: Int32) {
        var layout = facet_plane_layout(
            first: Int32(first), stages: Int32(faces.planes.code.later.count),
            planes: (Int32(second), Int32(faces.planes.code.later.count > 1 ? faces.planes.code.later[1] : 0)))
        // Rules that refuse nothing: every row is coded.
        var rules = facet_plane_rules(
            norm_tolerance: 1, fourth_moment_max: .greatestFiniteMagnitude, radius_max: 100,
            radius_min: (0.1, 0.1, 0.1, 0.05), radius_slack: 4e-6, steps: (0.26, 0.30, 0.34, 0.38),
            deciding_planes: first == Int(FACET_PLANES) ? 4 : 3)
        let tileRows = Int(FACET_TILE_ROWS)
        for tile in 0..<faces.count / tileRows {
            var target = facet_plane_target()
            target.tile = tiles + tile * tileBytes
            target.rows.0 = later + tile * tileRows * second * planeBytes
            target.rows.1 = later + faces.count * 4 * planeBytes + tile * tileRows * 2 * planeBytes
            target.factors.0 = factors + tile * tileRows * 2
            target.factors.1 = factors + 2 * faces.count + tile * tileRows * 2
            facet_plane_encode_with(
                variant, faces.rows + tile * tileRows * dimension, dimension, &layout, &rules, &target)
        }
    }

    private func withQuery<Result>(_ body: (UnsafePointer<facet_plane_query>) -> Result) -> Result {
        let total = codes.reduce(Int32(0)) { $0 + Int32($1) }
        return codes.withUnsafeBufferPointer { codes in
            byBit.withUnsafeBufferPointer { byBit in
                sums.withUnsafeBufferPointer { sums in
                    var query = facet_plane_query(
                        codes: codes.baseAddress, by_bit: byBit.baseAddress, sums: sums.baseAddress, offset: offset,
                        total: total, groups: dimension / 8)
                    return body(&query)
                }
            }
        }
    }

    func sum(_ variant: Int32, queries: Int) -> Double {
        let rowSums = UnsafeMutablePointer<UInt16>.allocate(capacity: queries * faces.count)
        defer { rowSums.deallocate() }
        var into = (0..<queries).map { Optional(rowSums + $0 * faces.count) }
        return withQuery { query in
            let same = [facet_plane_query](repeating: query.pointee, count: queries)
            return Times.median(rounds: 15, shares: faces.count * queries) {
                facet_plane_sums_with(
                    variant, same, queries, tiles, tileBytes, faces.count / Int(FACET_TILE_ROWS), Int32(first), 0, &into
                )
            }
        }
    }

    /// No row goes on.
    func select(_ variant: Int32) -> Double {
        var limit = facet_plane_limit(scale: 1e-4, reach: 1e-4, slack: 0, bound: 1e6)
        let rowSums = [UInt16](repeating: 1_000, count: faces.count)
        var positions = [UInt32](repeating: 0, count: faces.count)
        var found = [Int32](repeating: 0, count: faces.count)
        return withQuery { query in
            Times.median(rounds: 15, shares: faces.count) {
                _ = facet_plane_select_with(
                    variant, query, rowSums, tiles + first * planeBytes * Int(FACET_TILE_ROWS), tileBytes,
                    faces.count / Int(FACET_TILE_ROWS), Int32(first), &limit, &positions, &found)
            }
        }
    }

    func turn(_ variant: Int32) -> Double? {
        guard second > 0 else { return nil }
        let columns = AlignedMemory(bytes: faces.count * (second * planeBytes + 8))
        return Times.median(rounds: 15, shares: faces.count) {
            facet_plane_columns_with(
                variant, later, second * planeBytes, factors, faces.count / Int(FACET_TILE_ROWS),
                columns.base.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// Every third row comes, none goes on: about what a top 10 sends.
    func refine(_ variant: Int32) -> Double? {
        guard second > 0 else { return nil }
        var limit = facet_plane_limit(scale: 1e-4, reach: 1e-4, slack: 0, bound: 1e6)
        let chosen = stride(from: 0, to: faces.count, by: 3).map { UInt32($0) }
        return withQuery { query in
            Times.median(rounds: 15, shares: chosen.count) {
                var (positions, found) = (chosen, [Int32](repeating: 0, count: chosen.count))
                _ = facet_plane_refine_with(
                    variant, query, later, factors, Int32(first), Int32(second), &limit, &positions, &found,
                    chosen.count)
            }
        }
    }
}
