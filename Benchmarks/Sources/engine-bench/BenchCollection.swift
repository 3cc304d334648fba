import FaceModel
import Foundation
import VectorSearch

/// Rotated faces in memory with their planes, as a segment holds them, and probes.
// Safe because everything is written before the collection is handed on.
final class BenchCollection: @unchecked Sendable {
    static let rowsPerPart = 16_384

    let dimension: Int
    let count: Int
    let rows: UnsafeMutablePointer<Float>
    let ids: UnsafeMutablePointer<FaceID>
    let identities: [Int32]
    let probes: [RotatedVector]
    let probeIdentities: [Int32]
    let planes: PlaneBlock
    let encodeNanoseconds: Double

    private init(
        dimension: Int, rows: UnsafeMutablePointer<Float>, identities: [Int32], probes: [RotatedVector],
        probeIdentities: [Int32]
    ) {
        self.dimension = dimension
        self.rows = rows
        self.identities = identities
        self.probes = probes
        self.probeIdentities = probeIdentities
        let count = identities.count
        self.count = count
        ids = .allocate(capacity: count)
        for row in 0..<count { (ids + row).initialize(to: Self.id(row)) }
        let start = ContinuousClock.now
        planes = PlaneBlock(code: PlaneCode(dimension: dimension), encoding: rows, count: count)
        encodeNanoseconds = nanoseconds(since: start) / Double(count)
    }

    deinit {
        UnsafeMutableRawPointer(rows).deallocate()
        ids.deallocate()
    }

    /// Ids rise with the row, so that a store keeps the rows of one bucket in the order they have here.
    static func id(_ row: Int) -> FaceID {
        var bits = Bits(state: UInt64(row))
        return FaceID(Bits128(high: UInt64(row), low: bits.next()))
    }

    static func rotation(_ dimension: Int) throws -> Rotation {
        try Rotation(dimension: dimension, seed: (0..<32).map { UInt8($0) })
    }

    /// Whole blocks of a made set: at least `faces`.
    static func made(_ set: FaceSet, dimension: Int, faces: Int, probes: Int) throws -> BenchCollection {
        let blocks = (faces + FaceGenerator.blockRows - 1) / FaceGenerator.blockRows
        let generator = FaceGenerator(set, dimension: dimension)
        let rotation = try rotation(dimension)
        let perBlock = (probes + blocks - 1) / blocks
        let rows = allocate(blocks * FaceGenerator.blockRows * dimension)
        let base = Shared(rows)
        let identities = Results<[Int32]>(repeating: [], count: blocks)
        let fresh = Results<[(RotatedVector, Int32)]>(repeating: [], count: blocks)
        DispatchQueue.concurrentPerform(iterations: blocks) { number in
            let made = generator.block(number, probes: perBlock)
            let start = base.value + number * FaceGenerator.blockRows * dimension
            rotate(made.rows, rotation, into: start)
            identities[number] = made.identities
            fresh[number] = zip(vectors(made.probes, rotation), made.probeIdentities).map { ($0, $1) }
        }
        // Evenly from all blocks: a part of the probes meets the whole collection.
        let spread = (0..<perBlock).flatMap { at in (0..<blocks).map { fresh[$0][at] } }
        let chosen = spread.prefix(probes)
        return BenchCollection(
            dimension: dimension, rows: rows, identities: (0..<blocks).flatMap { identities[$0] },
            probes: chosen.map(\.0), probeIdentities: chosen.map(\.1))
    }

    /// Faces from files; at most `probes` of their probes.
    static func given(_ raw: RawVectors, probes: Int) throws -> BenchCollection {
        let rotation = try rotation(raw.dimension)
        let rows = allocate(raw.rows.count)
        rotate(raw.rows, rotation, into: rows)
        let chosen = raw.probes.prefix(probes * raw.dimension)
        return BenchCollection(
            dimension: raw.dimension, rows: rows, identities: raw.identities,
            probes: vectors(Array(chosen), rotation), probeIdentities: Array(raw.probeIdentities.prefix(probes)))
    }

    private static func allocate(_ floats: Int) -> UnsafeMutablePointer<Float> {
        let bytes = max(1, floats) * MemoryLayout<Float>.stride
        let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2 << 20)
        _ = madvise(raw, bytes, MADV_HUGEPAGE)
        return raw.bindMemory(to: Float.self, capacity: floats)
    }

    private static func rotate(_ flat: [Float], _ rotation: Rotation, into target: UnsafeMutablePointer<Float>) {
        for (row, vector) in vectors(flat, rotation).enumerated() {
            for (index, value) in vector.values.enumerated() { target[row * rotation.dimension + index] = value }
        }
    }

    static func vectors(_ flat: [Float], _ rotation: Rotation) -> [RotatedVector] {
        stride(from: 0, to: flat.count, by: rotation.dimension).map { start in
            do {
                return try rotation.rotate(Embedding(Array(flat[start..<start + rotation.dimension])))
            } catch {
                preconditionFailure("a set has vectors with a direction: \(error)")
            }
        }
    }

    func vector(_ row: Int) -> RotatedVector {
        RotatedVector(rotated: Array(UnsafeBufferPointer(start: rows + row * dimension, count: dimension)))
    }

    /// One whole search on this thread, as the scan pool makes it: part by part, each with the bound so far; ahead
    /// first where that is worth it.
    func search(_ query: PreparedQuery, _ search: Search, byPlanes: Bool, _ scratch: inout ScanScratch) -> [ScoredRow] {
        let starts = Array(stride(from: 0, to: count, by: Self.rowsPerPart))
        let sums = FirstSums(
            rooms: byPlanes ? starts.map { _ in Self.rowsPerPart } : [], rows: count, queries: [query],
            minScores: [search.minScore])
        var ahead = TopK(limit: search.limit, minScore: search.minScore)
        for part in 0..<sums.parts { scan(part, query, true, sums.pass(part, isAhead: true), into: &ahead, &scratch) }
        var best = TopK(limit: search.limit, minScore: ahead.bound)
        for part in starts.indices {
            scan(part, query, byPlanes, sums.pass(part, isAhead: false), into: &best, &scratch)
        }
        return best.sorted()
    }

    private func scan(
        _ number: Int, _ query: PreparedQuery, _ byPlanes: Bool, _ pass: ScanPass, into best: inout TopK,
        _ scratch: inout ScanScratch
    ) {
        var part = TopK(limit: best.limit, minScore: best.bound)
        _ = VectorSearch.scan(
            block(number * Self.rowsPerPart, byPlanes: byPlanes), dead: RowBitmap(), query: query, into: &part,
            scratch: &scratch, pass: pass)
        best.merge(part)
    }

    func block(_ start: Int, byPlanes: Bool) -> RowBlock<Never> {
        RowBlock(
            rows: rows + start * dimension, ids: ids + start, count: min(Self.rowsPerPart, count - start),
            source: .segment(1), firstRow: start, planes: byPlanes ? planes : nil, firstPlaneRow: start)
    }

    func write(to folder: String) throws {
        let bytes = UnsafeRawBufferPointer(start: rows, count: count * dimension * MemoryLayout<Float>.stride)
        try RawFile.write(bytes, folder, "rows-\(dimension).f32")
        try identities.withUnsafeBytes { try RawFile.write($0, folder, "rows-\(dimension).i32") }
        try probes.flatMap(\.values).withUnsafeBytes { try RawFile.write($0, folder, "probes-\(dimension).f32") }
        try probeIdentities.withUnsafeBytes { try RawFile.write($0, folder, "probes-\(dimension).i32") }
    }
}

struct Search: Sendable {
    var name: String
    var limit: Int
    var minScore: Float

    static let plain = Search(name: "top 10", limit: 10, minScore: -1)
    static let threshold = Search(name: "cosine >= .37", limit: 80, minScore: 0.37)
}
