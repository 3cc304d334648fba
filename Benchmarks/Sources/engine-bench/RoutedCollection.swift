import FaceModel
import Foundation
import VectorSearch

/// A collection's rows again, sorted by bucket: what a routed search reads.
// Safe because everything is written before the collection is handed on.
final class RoutedCollection: @unchecked Sendable {
    private static let matesMax = 2_000

    let faces: BenchCollection
    let ranking: BucketRanking
    let curve: CoverageCurve
    /// Row numbers of `faces`, by row here.
    private let origin: [Int]
    private let rows: AlignedMemory
    private let ids: UnsafeMutablePointer<FaceID>
    private let planes: PlaneBlock
    /// By bucket, as the ranking numbers them.
    private let buckets: [Range<Int>]
    let buildSeconds: Double

    init(_ faces: BenchCollection) {
        let start = ContinuousClock.now
        self.faces = faces
        let grown = GrownTree(faces)
        ranking = BucketRanking(centroids: grown.centroids)
        origin = grown.members.flatMap { $0 }
        var at = 0
        buckets = grown.members.map { members in
            defer { at += members.count }
            return at..<at + members.count
        }
        let dimension = faces.dimension
        let rowBytes = dimension * MemoryLayout<Float>.stride
        rows = AlignedMemory(bytes: faces.count * rowBytes)
        ids = .allocate(capacity: faces.count)
        for (row, from) in origin.enumerated() {
            (rows.base + row * rowBytes).copyMemory(from: faces.rows + from * dimension, byteCount: rowBytes)
            (ids + row).initialize(to: faces.ids[from])
        }
        let floats = UnsafePointer(rows.base.bindMemory(to: Float.self, capacity: faces.count * dimension))
        planes = PlaneBlock(code: PlaneCode(dimension: dimension), encoding: floats, count: faces.count)
        curve = Self.curve(faces, ranking, grown)
        buildSeconds = nanoseconds(since: start) / 1e9
    }

    deinit { ids.deallocate() }

    /// From the collection's own mates: the rank that the bucket of a face's best mate has for that face.
    private static func curve(_ faces: BenchCollection, _ ranking: BucketRanking, _ grown: GrownTree) -> CoverageCurve {
        let home = grown.homes(of: faces.count)
        let rows = Dictionary(grouping: 0..<faces.count) { faces.identities[$0] }
        let people = rows.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map(\.value)
        let every = max(1, people.count / matesMax)
        let chosen = stride(from: 0, to: people.count, by: every).map { people[$0] }
        let ranks = Results<Int>(repeating: 0, count: chosen.count)
        DispatchQueue.concurrentPerform(iterations: chosen.count) { number in
            let (face, others) = (chosen[number][0], chosen[number].dropFirst())
            let query = PreparedQuery(faces.vector(face))
            let scores = others.map { exactScore(query, faces.vector($0)) }
            let best = zip(scores, others).max { $0.0 < $1.0 }.map(\.1) ?? face
            let order = ranking.order(faces.vector(face), first: ranking.count)
            ranks[number] = order.firstIndex(of: home[best]) ?? 0
        }
        return CoverageCurve(ranks: chosen.indices.map { ranks[$0] }, buckets: ranking.count, source: .mates)
    }

    /// One whole search on this thread: ranks the buckets and reads the first `probes`, nearest first.
    func search(_ probe: RotatedVector, limit: Int, probes: Int, _ scratch: inout ScanScratch) -> [ScoredRow] {
        let query = PreparedQuery(probe)
        var best = TopK(limit: limit, minScore: -1)
        let tile = PlaneCode.tileRows
        // Buckets share a tile where they meet: it is read whole, with the first of them, and once.
        var read = RowBitmap()
        for bucket in ranking.order(probe, first: probes) {
            let range = buckets[bucket]
            guard !range.isEmpty else { continue }
            var (first, last) = (range.lowerBound / tile, (range.upperBound - 1) / tile)
            if !read.insert(first) { first += 1 }
            if last >= first, last > range.lowerBound / tile, !read.insert(last) { last -= 1 }
            guard first <= last else { continue }
            scan(first * tile..<min((last + 1) * tile, faces.count), query, &best, &scratch)
        }
        return best.sorted()
    }

    private func scan(_ range: Range<Int>, _ query: PreparedQuery, _ best: inout TopK, _ scratch: inout ScanScratch) {
        let floats = rows.base.assumingMemoryBound(to: Float.self)
        let block = RowBlock(
            rows: floats + range.lowerBound * faces.dimension, ids: ids + range.lowerBound, count: range.count,
            source: .segment(1), firstRow: range.lowerBound, planes: planes, firstPlaneRow: range.lowerBound)
        _ = VectorSearch.scan(block, dead: RowBitmap(), query: query, into: &best, scratch: &scratch)
    }

    /// The row of `faces` that a found row is.
    func row(_ found: ScoredRow) -> Int { origin[found.locator.row] }
}

/// A bucket tree grown over a collection as a shard grows it: faces come some at a time, each to its home, and buckets
/// that grew too large are split.
private struct GrownTree {
    /// So much of the faces so far come before buckets are split again.
    private static let growth = 8
    private static let rowsPerTask = 1_024

    var centroids: [RotatedVector] = []
    /// Rows by bucket.
    var members: [[Int]] = []

    init(_ faces: BenchCollection) {
        var tree = BucketTree(roots: [.root])
        var buckets: [LeafID: [Int]] = [:]
        var start = 0
        while start < faces.count {
            let end = min(faces.count, max(start + start / Self.growth, BucketDivision.facesMax + 1))
            for (row, leaf) in zip(start..<end, Self.homes(start..<end, tree, faces)) {
                buckets[leaf, default: []].append(row)
            }
            Self.split(&buckets, &tree, faces)
            start = end
        }
        for (leaf, rows) in buckets.sorted(by: { $0.key < $1.key }) {
            centroids.append(tree.centroid(of: leaf) ?? faces.vector(0))
            members.append(rows)
        }
    }

    /// The bucket of every row.
    func homes(of rows: Int) -> [Int] {
        var homes = [Int](repeating: 0, count: rows)
        for (bucket, members) in members.enumerated() { for row in members { homes[row] = bucket } }
        return homes
    }

    private static func homes(_ rows: Range<Int>, _ tree: BucketTree, _ faces: BenchCollection) -> [LeafID] {
        let tasks = (rows.count + rowsPerTask - 1) / rowsPerTask
        let homes = Results<[LeafID]>(repeating: [], count: tasks)
        DispatchQueue.concurrentPerform(iterations: tasks) { number in
            let first = rows.lowerBound + number * rowsPerTask
            homes[number] = (first..<min(first + rowsPerTask, rows.upperBound)).map {
                tree.home(of: faces.vector($0), below: .root)
            }
        }
        return (0..<tasks).flatMap { homes[$0] }
    }

    /// Until no bucket is too large but those that cannot be divided.
    private static func split(_ buckets: inout [LeafID: [Int]], _ tree: inout BucketTree, _ faces: BenchCollection) {
        var open = buckets.filter { $0.value.count > BucketDivision.facesMax }.keys.sorted()
        while !open.isEmpty {
            let level = open.map { (leaf: $0, rows: buckets[$0] ?? []) }
            let divided = Results<(RotatedVector, RotatedVector)?>(repeating: nil, count: level.count)
            DispatchQueue.concurrentPerform(iterations: level.count) { divided[$0] = divide(level[$0].rows, faces) }
            open = []
            for (number, parent) in level.enumerated() {
                guard let pair = divided[number] else { continue }
                let children = tree.nextChildren
                tree.apply(BucketSplit(parent: parent.leaf, children: children, centroids: pair))
                buckets[parent.leaf] = nil
                for row in parent.rows {
                    buckets[tree.leaf(of: faces.vector(row), below: parent.leaf), default: []].append(row)
                }
                open += [children.0, children.1].filter { (buckets[$0]?.count ?? 0) > BucketDivision.facesMax }
            }
        }
    }

    private static func divide(_ rows: [Int], _ faces: BenchCollection) -> (RotatedVector, RotatedVector)? {
        let step = max(1, rows.count / BucketDivision.sampleMax)
        let sample = stride(from: 0, to: rows.count, by: step).prefix(BucketDivision.sampleMax)
        return BucketDivision.divide(sample.map { faces.vector(rows[$0]) })
    }
}
