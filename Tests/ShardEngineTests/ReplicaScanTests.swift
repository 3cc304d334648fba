import ClusterModel
import FaceModel
import SegmentStore
import SimulatedDisk
import Testing
import VectorSearch

@testable import ShardEngine

/// A scan of several parts by several threads, with a pass ahead and without.
@Suite struct ReplicaScanTests {
    private static let dimension = 512
    private static let late = ContinuousClock.now + .seconds(3_600)

    private let snapshot: SearchSnapshot
    private let vectors: [RotatedVector]
    private let pool = ScanPool(threads: 3)

    /// Rows of a buffer; each seventh is dead.
    init() throws {
        var random = SplitMix(state: 11)
        let buffer = Buffer(serial: 1, dimension: Self.dimension)
        let vectors = (0..<2_500).map { _ -> RotatedVector in
            let values = (0..<Self.dimension).map { _ in Float.random(in: -1...1, using: &random) }
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return RotatedVector(rotated: values.map { $0 / norm })
        }
        for (number, vector) in vectors.enumerated() {
            try buffer.append(
                SegmentRow(
                    id: FaceID(Bits128(high: 0, low: UInt64(number))), leaf: LeafID(UInt32(number % 2)), vector: vector,
                    record: FaceRecord(imageID: nil, detail: nil)))
        }
        var snapshot = SearchSnapshot(dimension: Self.dimension)
        snapshot.show(buffer.view)
        for row in stride(from: 0, to: vectors.count, by: 7) {
            snapshot.markDead(at: RowLocator(source: .buffer(1), row: row))
        }
        self.snapshot = snapshot
        self.vectors = vectors
    }

    private func search(_ number: Int, limit: Int = 10, minScore: Float = -1) -> ShardSearch {
        ShardSearch(query: vectors[number], limit: limit, minScore: minScore, sigmas: PlaneCode.sigmasDefault)
    }

    private func expected(_ search: ShardSearch, _ rows: (Int) -> Bool) -> [Match] {
        let query = PreparedQuery(search.query)
        let live = vectors.indices.filter { $0 % 7 != 0 && rows($0) }
        let matches = live.map {
            Match(face: FaceID(Bits128(high: 0, low: UInt64($0))), score: exactScore(query, vectors[$0]))
        }
        return Array(matches.filter { $0.score >= search.minScore }.sorted(by: Match.precedes).prefix(search.limit))
    }

    @Test(arguments: [1, 10, 80], [Set<UInt32>?.none, [1]])
    func aPassAheadChangesNoAnswer(_ limit: Int, _ leaves: Set<UInt32>?) async throws {
        let writtenUnder = leaves.map { Set($0.map(LeafID.init)) }
        for number in [0, 3, 1_000] {
            let search = search(number, limit: limit)
            for ahead in [0, Int.max] {
                let scan = ReplicaScan(
                    snapshot: snapshot, searches: [search], writtenUnder: writtenUnder, rowsPerPart: 300,
                    rowsAheadMin: ahead)
                #expect(scan.partsAhead == (ahead == 0 ? 9 : 0))
                #expect(await scan.run(on: pool, until: Self.late) == .done)
                let (best, scored) = try scan.outcome()
                #expect(best[0].map(\.match) == expected(search) { leaves?.contains(UInt32($0 % 2)) ?? true })
                let live = vectors.indices.count { $0 % 7 != 0 && leaves?.contains(UInt32($0 % 2)) ?? true }
                #expect(scored == live)
            }
        }
        pool.stop()
    }

    @Test func aBatchIsAnsweredAsEachSearchIs() async throws {
        let searches = (0..<9).map { search($0 * 11, limit: 1 + $0 * 5, minScore: $0 % 3 == 0 ? 0.1 : -1) }
        let scan = ReplicaScan(snapshot: snapshot, searches: searches, rowsPerPart: 300, rowsAheadMin: 0)
        #expect(scan.partsAhead == 0)
        #expect(await scan.run(on: pool, until: Self.late) == .done)
        let (best, _) = try scan.outcome()
        for (search, found) in zip(searches, best) {
            #expect(found.map(\.match) == expected(search) { _ in true })
        }
        pool.stop()
    }

    @Test func aScanThatComesTooLateIsAbandoned() async {
        let scan = ReplicaScan(snapshot: snapshot, searches: [search(1)], rowsPerPart: 300, rowsAheadMin: 0)
        #expect(await scan.run(on: pool, until: .now) == .abandoned)
        pool.stop()
    }
}
