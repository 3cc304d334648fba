import FaceModel
import VectorSearch

/// Rows in memory with their planes, as a segment has them.
final class PlaneRows {
    let dimension: Int
    let vectors: [[Float]]
    let ids: [FaceID]
    let planes: PlaneBlock
    /// `ids`, where a scan reads them.
    let idBase: UnsafeMutablePointer<FaceID>
    private let flat: [Float]

    deinit { idBase.deallocate() }

    init(_ vectors: [[Float]], dimension: Int, _ generator: inout Seeded) {
        self.dimension = dimension
        self.vectors = vectors
        ids = vectors.map { _ in generator.face() }
        idBase = .allocate(capacity: max(1, ids.count))
        idBase.initialize(from: ids, count: ids.count)
        flat = vectors.flatMap { $0 }
        planes = flat.withUnsafeBufferPointer { [count = vectors.count] rows in
            guard let base = rows.baseAddress else { return PlaneBlock(code: PlaneCode(dimension: dimension), rows: 0) }
            return PlaneBlock(code: PlaneCode(dimension: dimension), encoding: base, count: count)
        }
    }

    /// The rows of `range` in one scan, by planes or each of them.
    func scan(
        _ query: PreparedQuery, _ range: Range<Int>, dead: RowBitmap, byPlanes: Bool, into best: inout TopK,
        counts: inout PlaneCounts, pass: ScanPass = .only
    ) -> Int {
        var scratch = ScanScratch()
        defer { counts = scratch.counts }
        return flat.withUnsafeBufferPointer { rows in
            ids.withUnsafeBufferPointer { ids in
                guard let rows = rows.baseAddress, let ids = ids.baseAddress else { return 0 }
                let block = RowBlock(
                    rows: rows + range.lowerBound * dimension, ids: ids + range.lowerBound, count: range.count,
                    source: .segment(3), firstRow: 100 + range.lowerBound, planes: byPlanes ? planes : nil,
                    firstPlaneRow: range.lowerBound)
                return VectorSearch.scan(block, dead: dead, query: query, into: &best, scratch: &scratch, pass: pass)
            }
        }
    }

    /// The same by a pass ahead and one that answers with its bound. Counts are of the second.
    func scanTwice(
        _ query: PreparedQuery, _ range: Range<Int>, dead: RowBitmap, limit: Int, minScore: Float,
        counts: inout PlaneCounts
    ) -> TopK {
        let room = (range.count / PlaneCode.tileRows + 2) * PlaneCode.tileRows
        let sums = UnsafeMutablePointer<UInt16>.allocate(capacity: room)
        defer { sums.deallocate() }
        sums.initialize(repeating: .max, count: room)
        var ahead = TopK(limit: limit, minScore: minScore)
        var first = PlaneCounts()
        _ = scan(
            query, range, dead: dead, byPlanes: true, into: &ahead, counts: &first, pass: .ahead(keeping: sums))
        var best = TopK(limit: limit, minScore: ahead.bound)
        _ = scan(query, range, dead: dead, byPlanes: true, into: &best, counts: &counts, pass: .answer(sums: sums))
        return best
    }
}

extension Seeded {
    mutating func direction(_ dimension: Int) -> [Float] { unit((0..<dimension).map { _ in normal() }) }

    /// A unit vector whose cosine to `vector` is close to `cosine`.
    mutating func near(_ vector: [Float], cosine: Double) -> [Float] {
        let other = direction(vector.count)
        let along = zip(vector, other).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let across = unit(zip(vector, other).map { Double($1) - along * Double($0) })
        let sine = max(0, 1 - cosine * cosine).squareRoot()
        return unit(zip(vector, across).map { cosine * Double($0) + sine * Double($1) })
    }
}

func unit(_ values: [Double]) -> [Float] {
    let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return values.map { Float($0 / norm) }
}
