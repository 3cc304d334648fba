import ClusterModel
import FaceModel
import Foundation
import GRDB
import SegmentStore
import StorageIO
import Testing

@testable import ShardEngine

/// Files of a shard's halves that are made ahead, while it takes writes.
@Suite struct DraftedSplitTests {
    private static let plan = SplitPlan(
        first: .init(shard: ShardID(Bits128(high: 3, low: 1)), root: .root),
        second: .init(shard: ShardID(Bits128(high: 3, low: 2)), root: LeafID(1)))

    private func opened() async throws -> CopiesBench {
        let bench = try CopiesBench()
        for number in 0..<3 { try await bench.open(number, .making) }
        return bench
    }

    private func enrol(_ bench: CopiesBench, _ numbers: Range<Int>) async throws -> [FaceID] {
        var ids: [FaceID] = []
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 500) {
            let faces = CopiesBench.faces(start..<min(start + 500, numbers.upperBound))
            ids += try await bench.ask { (node) throws(ShardError) in try await node.enrol(faces, bench.call()).faces }
        }
        return ids
    }

    private func delete(_ bench: CopiesBench, _ ids: some Collection<FaceID>) async throws {
        let outcome = try await bench.ask { (node) throws(ShardError) in
            try await node.delete(
                Array(ids), token: RequestToken(Bits128(high: 9, low: ids.first?.bits.low ?? 0)), bench.call())
        }
        #expect(outcome.deleted.count == ids.count)
    }

    private func drafts(_ bench: CopiesBench, _ number: Int, _ plan: SplitPlan = plan) async throws {
        let node = try #require(bench.post.node(CopiesBench.node(number)))
        #expect(try await bench.eventually { (try? await node.split(.draft(plan), bench.call()))?.hasDraft == true })
    }

    private func divided(_ bench: CopiesBench, _ plan: SplitPlan = plan) async throws -> LogIndex {
        let begun = try await bench.ask { (node) throws(ShardError) in try await node.split(.begin(plan), bench.call())
        }
        for number in 0..<3 {
            let node = try #require(bench.post.node(CopiesBench.node(number)))
            #expect(
                try await bench.eventually { (try? await node.split(.look, bench.call()))?.stage == .divided })
        }
        return begun.end
    }

    private func state(_ bench: CopiesBench, _ number: Int, _ half: SplitPlan.Half, _ folder: String) -> String {
        "\(bench.folder(number))/halves/\(folder)/\(half.shard)/state.sqlite"
    }

    private func inode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int)
    }

    /// One copy drafts early and follows twice, one late, and one not at all: all have the same halves.
    @Test func draftsComeToWhatIsMadeAtOnce() async throws {
        let bench = try await opened()
        var ids = try await enrol(bench, 0..<1_200)
        try await delete(bench, ids[..<40])
        try await drafts(bench, 0)
        // More than is left to the split itself, so it is brought up; some of it is gone again by then.
        ids += try await enrol(bench, 1_200..<3_600)
        try await delete(bench, ids[100..<140])
        try await delete(bench, ids[3_000..<3_040])
        try await drafts(bench, 1)
        // Faces from before either draft and behind it go; some come back, and of those some go again.
        try await delete(bench, ids[200..<240])
        ids += try await enrol(bench, 3_600..<3_900)
        let back = try await enrol(bench, 0..<20) + enrol(bench, 110..<130) + enrol(bench, 3_010..<3_030)
        try await delete(bench, back[10..<50])
        try await delete(bench, ids[3_700..<3_710])
        let inodes = try (0..<2).map { try inode(state(bench, $0, Self.plan.first, "draft")) }
        let end = try await divided(bench)
        for number in 0..<2 {
            #expect(try inode(state(bench, number, Self.plan.first, "\(end.value)")) == inodes[number], "made anew")
            #expect(
                !FileManager.default.fileExists(
                    atPath: "\(bench.folder(number))/halves/draft/\(Self.plan.second.shard)"))
        }
        var faces = 0
        for half in Self.plan.halves {
            let copies = try (0..<3).map { try HalfOnDisk(bench, $0, half, at: end) }
            for number in 0..<2 {
                #expect(copies[number].rows.symmetricDifference(copies[2].rows) == [], "copy \(number)")
            }
            #expect(copies[0].vectors == copies[2].vectors && copies[1].vectors == copies[2].vectors)
            for copy in copies { #expect(copy.digest == copy.recounted && copy.applied == end) }
            faces += copies[2].vectors.count
        }
        #expect(faces == 3_900 - 40 - 40 - 40 - 40 + 60 - 40 - 10)
        await bench.stop()
    }

    @Test func whatNobodyWantsGoes() async throws {
        let bench = try await opened()
        _ = try await enrol(bench, 0..<1_000)
        var other = Self.plan
        other.second.shard = ShardID(Bits128(high: 3, low: 3))
        for number in 0..<3 { try await drafts(bench, number, other) }
        try await drafts(bench, 0)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: "\(bench.folder(0))/halves/draft").sorted()
                == Self.plan.halves.map { "\($0.shard)" })
        // Begun by the plan of one: the others make their files at once, and keep nothing else.
        let end = try await divided(bench)
        for number in 0..<3 {
            let folder = "\(bench.folder(number))/halves"
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(end.value)").sorted()
                    == Self.plan.halves.map { "\($0.shard)" })
        }
        _ = try await bench.ask { (node) throws(ShardError) in try await node.split(.abort, bench.call()) }
        for number in 0..<3 {
            let folder = "\(bench.folder(number))/halves"
            #expect(try await bench.eventually { !FileManager.default.fileExists(atPath: folder) })
        }
        await bench.stop()
    }

    /// The shard was never divided: nobody begins what cannot be ended.
    @Test func aShardOfOneBucketRefuses() async throws {
        let bench = try await opened()
        _ = try await enrol(bench, 0..<20)
        await #expect(throws: ShardError.self) {
            try await bench.ask { (node) throws(ShardError) in try await node.split(.draft(Self.plan), bench.call()) }
        }
        await bench.stop()
    }
}

/// Files of a half as a copy has them.
private struct HalfOnDisk {
    /// All that copies must have in common, row by row.
    var rows: Set<[DatabaseValue]>
    /// Of each face that lives, from the segment that the state says it stands in.
    var vectors: [FaceID: [Float]] = [:]
    var digest: StateDigest
    var recounted: StateDigest
    var applied: LogIndex

    init(_ bench: CopiesBench, _ number: Int, _ half: SplitPlan.Half, at end: LogIndex) throws {
        let folder = "\(bench.folder(number))/halves/\(end.value)/\(half.shard)"
        let state = try ShardState(path: "\(folder)/state.sqlite")
        (digest, recounted, applied) = (try state.digest(), try state.recount(), try state.applied())
        rows = try state.read { database in
            Set(
                try [
                    "SELECT id, key, external_image_id, leaf FROM face ORDER BY id",
                    "SELECT key, count, live FROM face_key ORDER BY key", "SELECT * FROM bucket ORDER BY id",
                    // Their lsn is that of the batch in which the copy applied them.
                    "SELECT token, id FROM enrolment ORDER BY token", "SELECT id, token FROM deletion ORDER BY id",
                    "SELECT applied, faces, roots, digest FROM meta",
                ].flatMap { try Row.fetchAll(database, sql: $0).map { Array($0.databaseValues) } })
        }
        let store = try SegmentStore.open(
            directory: "\(folder)/segments", identity: SegmentIdentity(bench.descriptor(number).half(half)),
            on: POSIXFileSystem())
        #expect(try state.placedSegments() == store.segments.map(\.number))
        #expect(store.flushedThrough == end)
        for row in try state.list(after: nil, limit: 10_000).rows {
            let place = try #require(row.place)
            let segment = try #require(store.segments.first { $0.number == place.segment })
            #expect(segment.ids[Int(place.row)] == row.id)
            vectors[row.id] = try segment.vector(Int(place.row)).values
        }
        #expect(try state.count() == vectors.count)
        try state.close()
    }
}
