import ClusterModel
import FaceModel
import Foundation
import SegmentStore
import SimulatedDisk
import StorageIO
import Testing
import VectorSearch
import WriteAheadLog

@testable import ShardEngine

/// A shard on the real disk whose buckets divide as it grows.
@Suite struct ShardBucketTests {
    private static let dimension = 64

    private let root = NSTemporaryDirectory() + "facet-buckets-\(ProcessInfo.processInfo.globallyUniqueString)"
    private let descriptor = ShardDescriptor(
        tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
        shard: ShardID(Bits128(high: 2, low: 2)), replica: ReplicaID(Bits128(high: 2, low: 2)),
        dimension: Self.dimension, modelVersion: "1.0",
        idKey: [UInt8](repeating: 5, count: 32), roots: [LeafID(7)])

    private var call: ShardCall { descriptor.call() }

    private func node(_ mode: OpenMode = .existing) async throws -> ShardNode {
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 2))
        try await node.open(descriptor, mode, call)
        return node
    }

    /// Faces in a cone around one direction: narrow for a great `gather`, all directions for 0.
    private func faces(_ numbers: Range<Int>, gather: Float = 0) -> [NewFace] {
        numbers.map { number in
            var random = SplitMix(state: UInt64(number) &* 7_919)
            var values = (0..<Self.dimension).map { _ in Float.random(in: -1...1, using: &random) }
            values[3] += gather
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return face(RotatedVector(rotated: values.map { $0 / norm }), number)
        }
    }

    private func face(_ vector: RotatedVector, _ number: Int) -> NewFace {
        NewFace(
            vector: vector, externalImageID: ExternalImageID("f\(number)"),
            record: FaceRecord(imageID: nil, detail: nil), token: .none)
    }

    private func enrol(_ faces: [NewFace], on node: ShardNode) async throws -> [FaceID] {
        var ids: [FaceID] = []
        for start in stride(from: 0, to: faces.count, by: 700) {
            ids += try await node.enrol(Array(faces[start..<min(start + 700, faces.count)]), call).faces
        }
        return ids
    }

    /// What a write makes due is done before the next one is looked at.
    private func settle(_ node: ShardNode) async throws {
        for _ in 0..<3 { _ = try await node.delete([FaceID(Bits128(high: 1, low: 2))], token: .none, call) }
    }

    private func pages(_ node: ShardNode, limit: Int = 3) async throws -> (tree: LogIndex, buckets: [Bucket]) {
        var buckets: [Bucket] = []
        while true {
            let page = try await node.buckets(after: buckets.last?.leaf, limit: limit, call)
            #expect(page.buckets.count == limit || !page.more)
            buckets += page.buckets
            if !page.more { return (page.tree, buckets) }
        }
    }

    private func search(
        _ node: ShardNode, _ query: RotatedVector, in buckets: [LeafID]?, limit: Int = 4_096
    ) async throws -> ShardSearchAnswer {
        let search = ShardSearch(query: query, limit: limit, minScore: -1, sigmas: 6, buckets: buckets)
        return try #require(try await node.search([search], call).first)
    }

    /// Every live face is in one bucket, which is a leaf, and a search of that bucket alone finds it with its score.
    private func check(_ node: ShardNode, living: Set<FaceID>) async throws {
        var (tree, buckets) = try await pages(node)
        var sample = try await node.sample(SampleRequest(every: 1, limit: 4_096), call)
        // A division that was due may come between the two.
        var again = try await pages(node)
        while again.tree != tree {
            (tree, buckets) = again
            sample = try await node.sample(SampleRequest(every: 1, limit: 4_096), call)
            again = try await pages(node)
        }
        let leaves = Set(buckets.map(\.leaf))
        #expect(leaves.count == buckets.count)
        #expect(Set(sample.map(\.id)) == Set(living.sorted().prefix(4_096)))
        #expect(sample.allSatisfy { leaves.contains($0.bucket) })
        let query = sample[sample.count / 2]
        let all = try await search(node, query.vector, in: nil)
        #expect(all.facesScored == living.count && all.buckets == leaves.count)
        let scores = Dictionary(uniqueKeysWithValues: all.candidates.map { ($0.face.id, $0.score) })
        var found: [FaceID: Float] = [:]
        for leaf in leaves.sorted() {
            let answer = try await search(node, query.vector, in: [leaf])
            #expect(answer.buckets == 1)
            let ids = Set(answer.candidates.map(\.face.id))
            #expect(
                answer.candidates.count == 4_096 || ids.isSuperset(of: sample.filter { $0.bucket == leaf }.map(\.id)))
            for candidate in answer.candidates { found[candidate.face.id] = candidate.score }
        }
        #expect(Set(found.keys).isSubset(of: living))
        #expect(scores.allSatisfy { found[$0.key] == $0.value })
        let named = try await search(node, query.vector, in: leaves.sorted() + [LeafID(.max)])
        #expect(named.candidates == all.candidates && named.buckets == leaves.count)
    }

    @Test func aGrowingShardDividesAndEveryFaceStaysFoundInItsBucket() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var node = try await node(.making)
        var living: Set<FaceID> = []
        var random = SplitMix(state: 3)
        var most = 0
        for life in 0..<4 {
            let start = life * 3_000
            living.formUnion(try await enrol(faces(start..<start + 3_000, gather: Float(life)), on: node))
            let gone = living.sorted().filter { _ in random.next() % 5 == 0 }.prefix(1_000)
            _ = try await node.delete(Array(gone), token: .none, call)
            living.subtract(gone)
            try await settle(node)
            try await check(node, living: living)
            let before = try await pages(node)
            most = before.buckets.count
            #expect(before.tree > .zero && most > 2 * life)
            #expect(before.buckets.reduce(0) { $0 + $1.faces } <= 12_000)
            await node.stop()
            node = try await self.node()
            // Nothing is enrolled: at most buckets divide that were already due.
            let after = try await pages(node, limit: 100)
            for bucket in before.buckets {
                guard let same = after.buckets.first(where: { $0.leaf == bucket.leaf }) else { continue }
                #expect(same.centroid == bucket.centroid && bucket.centroid != nil)
            }
            try await check(node, living: living)
        }
        #expect(most > 8)
        await node.stop()
    }

    @Test func aReplayTakesTheTreeOfTheLog() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var node = try await node(.making)
        let living = Set(try await enrol(faces(0..<3_500), on: node))
        try await settle(node)
        let before = try await pages(node)
        let sample = try await node.sample(SampleRequest(every: 1, limit: 4_096), call)
        #expect(before.buckets.count > 3)
        await node.stop()
        for name in ["", "-wal", "-shm"] {
            _ = try? FileManager.default.removeItem(atPath: "\(root)/\(descriptor.shard)/state.sqlite" + name)
        }
        node = try await self.node()
        let after = try await pages(node)
        #expect(after.tree == before.tree)
        #expect(after.buckets.map(\.leaf) == before.buckets.map(\.leaf))
        #expect(after.buckets.map(\.centroid) == before.buckets.map(\.centroid))
        #expect(try await node.sample(SampleRequest(every: 1, limit: 4_096), call) == sample)
        try await check(node, living: living)
        await node.stop()
    }

    @Test func equalFacesAreNotDividedForEver() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = try await node(.making)
        let one = faces(1..<2)[0].vector
        var living = Set(try await enrol((0..<5_000).map { face(one, $0) }, on: node))
        let alone = try await pages(node)
        #expect(alone.tree == .zero && alone.buckets.map(\.leaf) == [LeafID(7)])
        #expect(alone.buckets[0].centroid == nil && alone.buckets[0].faces == 5_000)
        // In company they can be set apart, and stay together.
        living.formUnion(try await enrol(faces(10_000..<16_000), on: node))
        try await settle(node)
        let buckets = try await pages(node).buckets
        #expect(buckets.count > 3)
        let sample = try await node.sample(SampleRequest(every: 1, limit: 4_096), call)
        #expect(Set(sample.filter { $0.vector == one }.map(\.bucket)).count == 1)
        await node.stop()
    }

    @Test func aShardFromBeforeThereWereBucketsGrowsThem() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let folder = "\(root)/\(descriptor.shard)"
        let files = POSIXFileSystem()
        try files.createDirectory(folder)
        let keys = FaceIdentityKeys(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion)
        let old = faces(0..<3_000).map { KeyedFace(face: $0, key: keys.key(of: $0)) }
        let machine = ShardMachine(tree: DatedTree(roots: [LeafID(7)]))
        let proposal = Proposal(id: ProposalID(value: 1), roots: [LeafID(7)], request: .enrol(old, keys))
        let puts = machine.batch([proposal], known: KnownFaces()).entries
        let config = LogEntry(type: .config, token: .none, payload: ConfigRecord(roots: [LeafID(7)]).payload)
        let (log, _) = try Log.open(directory: folder + "/wal", identity: LogIdentity(descriptor), on: files)
        _ = try log.append([config] + puts, epoch: log.epoch)
        try log.synchronize()
        _ = try ReplicaStore(descriptor, directory: folder + "/segments", on: files)
        try ShardState(path: folder + "/state.sqlite", version: "2").close()

        let node = try await node()
        var living = Set(old.map { keys.faceID(key: $0.key, count: 0) })
        for number in 3_000..<3_010 { living.formUnion(try await enrol(faces(number..<number + 1), on: node)) }
        #expect(try await pages(node).buckets.count > 3)
        try await check(node, living: living)
        await node.stop()
    }

    @Test func aTreeThatDoesNotFitTogetherIsDamage() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let first = try await node(.making)
        _ = try await enrol(faces(0..<2_500), on: first)
        await first.stop()
        let path = "\(root)/\(descriptor.shard)/state.sqlite"
        let splits = try ShardState(path: path)
        let tree = try splits.tree(dimension: Self.dimension)
        #expect(tree.tree.splits > 1 && tree.index > .zero)
        #expect(throws: ReplicaError.self) { try splits.tree(dimension: 128) }
        // The same split twice.
        let leaf = try #require(tree.tree.leaves.first)
        let centroid = try #require(tree.tree.centroid(of: leaf))
        let stray = BucketSplit(
            parent: LeafID(55_555), children: tree.tree.nextChildren, centroids: (centroid, centroid))
        let applied = try splits.applied()
        try splits.apply([.split(stray, at: applied)], through: applied)
        #expect(throws: ReplicaError.self) { try splits.tree(dimension: Self.dimension) }
        try splits.close()
        await #expect {
            _ = try await node()
        } throws: { error in
            if case .damaged(_, let reason)? = error as? ShardError { reason.contains("tree") } else { false }
        }
    }

    @Test func compactionPutsRowsUnderTheirPresentBuckets() throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let store = try ReplicaStore(descriptor, directory: root, on: POSIXFileSystem())
        var tree = BucketTree(roots: [LeafID(7)])
        var vectors: [FaceID: RotatedVector] = [:]
        for number in 0..<4 {
            for (row, face) in faces(number * 500..<number * 500 + 500).enumerated() {
                let id = FaceID(Bits128(high: UInt64(number), low: UInt64(row)))
                vectors[id] = face.vector
                try store.buffer(SegmentRow(id: id, leaf: LeafID(7), vector: face.vector, record: face.record))
            }
            #expect(try store.flush(through: LogIndex(UInt64(number + 1)), tree: tree) != nil)
        }
        #expect(store.snapshot.leafRows == [LeafID(7): 2_000])
        let gathered = try store.faces(in: LeafID(7), of: tree)
        #expect(gathered.count == 2_000 && gathered.stride == 1)
        for _ in 0..<3 {
            let parent = try #require(tree.leaves.first)
            let centroids = try #require(BucketDivision.divide(try store.faces(in: parent, of: tree).vectors))
            tree.apply(BucketSplit(parent: parent, children: tree.nextChildren, centroids: centroids))
        }
        let counts = try tree.leaves.map { try store.faces(in: $0, of: tree).count }
        #expect(counts.reduce(0, +) == 2_000)
        let job = try #require(store.beginMerge(tree: tree))
        try store.install(try job.merge())
        #expect(Set(store.snapshot.leafRows.keys) == Set(tree.leaves))
        #expect(tree.leaves.map { store.snapshot.leafRows[$0] ?? 0 } == counts)
        for run in store.snapshot.runs(of: Set(tree.leaves)) {
            for row in run.rows {
                let id = store.snapshot.id(at: RowLocator(source: run.source, row: row))
                let vector = try #require(vectors[id])
                #expect(tree.leaf(of: vector, below: LeafID(7)) == run.leaf)
            }
        }
    }
}

@Suite struct BucketGrowthTests {
    private let most = BucketDivision.facesMax

    private func tree() -> BucketTree {
        var tree = BucketTree(roots: [.root])
        let a = RotatedVector(rotated: [1, 0, 0, 0, 0, 0, 0, 0])
        let b = RotatedVector(rotated: [0, 1, 0, 0, 0, 0, 0, 0])
        tree.apply(BucketSplit(parent: .root, children: tree.nextChildren, centroids: (a, b)))
        return tree
    }

    @Test func rowsUnderASplitBucketCountForWhatCameOfIt() {
        let growth = BucketGrowth(rows: [.root: 2 * (most - 50), LeafID(256): 60], tree: tree())
        #expect(growth.count(of: LeafID(256)) == most + 10 && growth.count(of: LeafID(257)) == most - 50)
        #expect(growth.next(4) == [LeafID(256)])
    }

    @Test func whatCannotBeDividedWaitsUntilItHasDoubled() {
        var growth = BucketGrowth(rows: [LeafID(256): most + 1], tree: tree())
        #expect(growth.isDue)
        growth.isIndivisible(LeafID(256))
        growth.found(2 * (most + 1), in: LeafID(256))
        #expect(!growth.isDue)
        growth.found(2 * (most + 1) + 1, in: LeafID(256))
        #expect(growth.next(4) == [LeafID(256)])
    }

    @Test func whatIsPostponedComesBackWhenRowsMoved() {
        var growth = BucketGrowth(rows: [LeafID(256): 5_000, LeafID(257): 3_000], tree: tree())
        #expect(growth.next(4) == [LeafID(256), LeafID(257)] && growth.next(1) == [LeafID(256)])
        growth.postpone(LeafID(256))
        growth.found(6_000, in: LeafID(256))
        #expect(growth.next(4) == [LeafID(257)])
        growth.resumePostponed()
        #expect(growth.next(1) == [LeafID(256)])
        growth.divided(LeafID(256), into: [(LeafID(258), most), (LeafID(259), 5_100)])
        #expect(growth.next(4) == [LeafID(259), LeafID(257)] && growth.count(of: LeafID(256)) == 0)
    }

    @Test func deadRowsAreFoundOutWhenABucketIsLookedAt() {
        var growth = BucketGrowth(rows: [LeafID(256): 5_000], tree: tree())
        growth.found(most, in: LeafID(256))
        #expect(!growth.isDue && growth.count(of: LeafID(256)) == most)
    }
}
