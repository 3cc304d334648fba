import ClusterModel
import FaceModel
import Foundation
import ShardEngine
import Synchronization
import TestBench
import Testing

@testable import Coordinator

/// A shard becomes two while clients use the collection; nobody sees more of it than that a write takes longer.
@Suite struct SplitTests {
    private typealias Bench = SplitBench
    private static let faces = SplitBench.faces

    private final class Flag: Sendable {
        private let state = Atomic(false)
        var isSet: Bool { state.load(ordering: .relaxed) }
        func set() { state.store(true, ordering: .relaxed) }
    }

    @Test func everyAnswerIsWhatItWas() async throws {
        let count = 5_000
        let bench = try await Bench(faces: count)
        let ids = try await bench.listed()
        var expected: [[SplitBench.Candidate]] = []
        for number in stride(from: 0, to: 300, by: 7) { expected.append(try await bench.search(number)) }
        // To eight shards, and every one from another history of divisions.
        for _ in 0..<3 {
            for shard in try await bench.shards() {
                let report = try await bench.split(shard.id)
                #expect(report.stage == .done, "\(report)")
            }
        }
        let shards = try await bench.shards()
        #expect(shards.count == 8)
        #expect(Set(shards.flatMap(\.roots)) == Set((0..<8).map { LeafID($0) }))
        #expect(try await bench.listed() == ids)
        for (place, number) in stride(from: 0, to: 300, by: 7).enumerated() {
            #expect(try await bench.search(number) == expected[place], "probe \(number)")
        }
        // Each is known where it is.
        #expect(Set(try await bench.enrol(0..<count)) == Set(ids))
        #expect(try await bench.listed() == ids)
        #expect(try bench.folders().sorted() == shards.map { "\($0.id)" }.sorted())
        await bench.stop()
    }

    /// Also where buckets are divided that the drafted files have rows of.
    @Test func whatIsWrittenBehindADraftIsInTheHalves() async throws {
        let bench = try await Bench()
        let shard = try await bench.shards()[0]
        _ = try await bench.cluster.index.splitShard(shard.id, in: bench.cluster.context())
        for _ in 0..<4_000 where try await !bench.ask(shard, { .draft($0) }).hasDraft {
            try await Task.sleep(for: .milliseconds(5))
        }
        let new = try await bench.enrol(Self.faces..<Self.faces + 3_000)
        let old = try await bench.enrol(0..<80)
        _ = try await bench.cluster.index.deleteFaces(
            Array(old[..<40]) + new[..<40], collection: bench.name, in: bench.cluster.context())
        let renewed = try await bench.enrol(0..<20)
        let ids = try await bench.listed()
        let probes = Array(stride(from: 0, to: Self.faces + 3_000, by: 53))
        var expected: [[SplitBench.Candidate]] = []
        for number in probes { expected.append(try await bench.search(number)) }
        #expect(try await bench.split(shard.id).stage == .done)
        #expect(try await bench.listed() == ids && ids.count == Self.faces + 2_940)
        for (place, number) in probes.enumerated() {
            #expect(try await bench.search(number) == expected[place], "probe \(number)")
        }
        #expect(try await bench.enrol(0..<20) == renewed)
        // Each half from its files anew.
        try await bench.restart()
        #expect(try await bench.listed() == ids)
        await bench.stop()
    }

    @Test func whatWasDeletedStaysSoAndMayComeBackUnderAnotherName() async throws {
        let bench = try await Bench()
        let ids = try await bench.enrol(0..<40)
        _ = try await bench.cluster.index.deleteFaces(
            ids, collection: bench.name, in: bench.cluster.context())
        try await bench.split(try await bench.shards()[0].id)
        #expect(Set(try await bench.listed()).isDisjoint(with: ids))
        let renewed = try await bench.enrol(0..<40)
        #expect(Set(renewed).isDisjoint(with: ids) && Set(renewed).count == 40)
        #expect(try await bench.listed().count == Self.faces)
        await bench.stop()
    }

    @Test func aRequestThatIsAskedAgainIsAnsweredAsItWas() async throws {
        let bench = try await Bench()
        let token = RequestToken(Bits128(high: 5, low: 5))
        let range = Self.faces..<Self.faces + 40
        let ids = try await bench.enrol(range, token: token)
        let context = try bench.cluster.context(token: RequestToken(Bits128(high: 6, low: 6)))
        let gone = try await bench.cluster.index.deleteFaces(ids, collection: bench.name, in: context)
        #expect(gone.deleted == ids)
        try await bench.split(try await bench.shards()[0].id)
        #expect(try await bench.enrol(range, token: token) == ids)
        #expect(try await bench.listed().count == Self.faces)
        let again = try await bench.cluster.index.deleteFaces(ids, collection: bench.name, in: context)
        #expect(again.deleted == ids)
        await bench.stop()
    }

    @Test func clientsNoticeNothing() async throws {
        let bench = try await Bench()
        let before = Set(try await bench.listed())
        let cluster = bench.cluster
        let (name, fresh) = (bench.name, bench.vectors(Self.faces..<Self.faces + 300))
        let probe = bench.vectors(3..<4)[0].vector
        let enrolled = Task {
            var ids: [FaceID] = []
            for vector in fresh {
                ids += try await cluster.index.indexVectors([vector], collection: name, in: cluster.context()).map(\.id)
            }
            return ids
        }
        let isOver = Flag()
        let searched = Task {
            var counts: [Int] = []
            while !isOver.isSet {
                let answer = try await cluster.index.searchFaces(
                    byVector: probe, limit: 5, threshold: .cosine(-1), collection: name, in: cluster.context())
                counts.append(answer.coverage.facesScored)
                try await Task.sleep(for: .milliseconds(1))
            }
            return counts
        }
        for _ in 0..<2 { for shard in try await bench.shards() { try await bench.split(shard.id) } }
        let new = try await enrolled.value
        isOver.set()
        let counts = try await searched.value
        #expect(!counts.isEmpty && counts == counts.sorted())
        #expect(Set(try await bench.listed()) == before.union(new) && new.count == 300)
        #expect(try await bench.shards().count == 4)
        await bench.stop()
    }

    @Test func aSplitThatIsCutShortAnywhereGoesOn() async throws {
        let bench = try await Bench()
        let ids = try await bench.listed()
        let shard = try await bench.shards()[0]
        _ = try await bench.cluster.index.splitShard(shard.id, in: bench.cluster.context())
        // After each step another life of every node, and every time a little later.
        for number in 0..<100 where !bench.controlPlane.committed(.splits).isEmpty {
            try await bench.restart()
            for _ in 0...number {
                try await bench.cluster.index.advanceSplits()
                try await Task.sleep(for: .milliseconds(3))
            }
        }
        #expect(try await bench.shards().count == 2)
        #expect(try await bench.listed() == ids)
        #expect(try bench.folders().count == 2)
        await bench.stop()
    }

    @Test func coordinatorsGoOnByThemselves() async throws {
        let bench = try await Bench()
        let ids = try await bench.listed()
        let shard = try await bench.shards()[0]
        _ = try await bench.cluster.index.splitShard(shard.id, in: bench.cluster.context())
        let other = bench.cluster.coordinator()
        for _ in 0..<2_000 where try await bench.shards().count < 2 || !bench.controlPlane.committed(.splits).isEmpty {
            try await other.advanceSplits()
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try await bench.shards().count == 2)
        #expect(try await bench.listed() == ids)
        await bench.stop()
    }

    @Test func aSplitThatIsGivenUpLeavesNothing() async throws {
        let bench = try await Bench()
        let shard = try await bench.shards()[0]
        _ = try await bench.begin(shard)
        let status = await bench.cluster.index.status().collections.flatMap(\.shards)
        #expect(status.compactMap { try? $0.statistics.get().writesRefused } == ["it is being split"])
        let report = try await bench.split(shard.id, abort: true)
        #expect(report.stage == .aborted)
        let ids = try await bench.enrol(Self.faces..<Self.faces + 5)
        #expect(try await bench.listed().count == Self.faces + 5 && ids.count == 5)
        #expect(try await bench.shards() == [shard])
        await bench.stop()
    }

    @Test func aSplitThatIsGivenUpWhileItIsDraftedLeavesTheShardAsItWas() async throws {
        let bench = try await Bench()
        let shard = try await bench.shards()[0]
        let begun = try await bench.cluster.index.splitShard(shard.id, in: bench.cluster.context())
        let ids = try await bench.enrol(Self.faces..<Self.faces + 5)
        #expect(begun.stage == .drafting && ids.count == 5)
        #expect(try await bench.split(shard.id, abort: true).stage == .aborted)
        #expect(bench.controlPlane.committed(.splits).isEmpty)
        #expect(try await bench.shards() == [shard])
        #expect(try await bench.listed().count == Self.faces + 5)
        #expect(try await bench.split(shard.id).stage == .done)
        #expect(try await bench.listed().count == Self.faces + 5)
        await bench.stop()
    }

    /// Who begins it may be slower than who gives it up: then no register says that the shard takes no writes.
    @Test func aSplitThatOnlyTheShardKnowsOfIsFoundAgain() async throws {
        for abort in [true, false] {
            let bench = try await Bench()
            let shard = try await bench.shards()[0]
            _ = try await bench.begin(shard)
            bench.controlPlane.remove(.split(shard.id))
            let report = try await bench.split(shard.id, abort: abort)
            #expect(report.stage == (abort ? .aborted : .done))
            #expect(try await bench.enrol(Self.faces..<Self.faces + 5).count == 5)
            #expect(try await bench.listed().count == Self.faces + 5)
            await bench.stop()
        }
    }

    /// Another split may have been wanted by then: halves are named as those that the copies made files of.
    @Test func aSplitGoesOnByThePlanThatTheShardHas() async throws {
        let bench = try await Bench()
        let ids = try await bench.listed()
        let shard = try await bench.shards()[0]
        let begun = try await bench.begin(shard)
        let register = try #require(try await bench.cluster.index.splitRegister(shard.id))
        var wanted = register.value
        wanted.plan.first.shard = ShardID(Bits128(high: 7, low: 1))
        wanted.plan.second.shard = ShardID(Bits128(high: 7, low: 2))
        _ = try await bench.controlPlane.commit(
            RegisterTransaction([.put(.split(wanted), expecting: register.revision)]))
        #expect(try await bench.split(shard.id).halves == begun.halves)
        #expect(Set(try await bench.shards().map(\.id)) == Set(begun.halves))
        #expect(try await bench.listed() == ids)
        await bench.stop()
    }

    @Test(arguments: [false, true]) func aCollectionIsDeletedInTheMidstOfIt(_ isBegun: Bool) async throws {
        let bench = try await Bench()
        let shard = try await bench.shards()[0]
        if isBegun {
            _ = try await bench.begin(shard)
        } else {
            _ = try await bench.cluster.index.splitShard(shard.id, in: bench.cluster.context())
        }
        try await bench.cluster.index.deleteCollection(bench.name, in: bench.cluster.context())
        try await bench.cluster.index.finishDeletions()
        #expect(bench.controlPlane.committed(.splits).isEmpty)
        #expect(try bench.folders().isEmpty)
        await bench.stop()
    }

    /// Nobody could publish the halves of a shard that was released.
    @Test func aMapTakesNoMoreDivisionsThanItsRegisterHolds() {
        let side = RotatedVector(rotated: [Float](repeating: 0.1, count: 2_048))
        var map = CollectionMap(
            collection: CollectionUID(Bits128(high: 1, low: 1)), version: 1, made: true,
            shards: [.init(id: ShardID(Bits128(high: 1, low: 2)), node: .embedded, roots: [.root])])
        var divisions = 0
        while map.hasRoom(forDivisionsOf: 2_048), divisions < 1_000 {
            divisions += 1
            map.divisions.append(
                .init(root: .root, second: LeafID(UInt32(divisions)), sides: .init(first: side, second: side)))
        }
        #expect((30...60).contains(divisions))
    }

    @Test func aShardOfFewFacesIsNotSplit() async throws {
        let bench = try await Bench(faces: 20)
        let shard = try await bench.shards()[0]
        await #expect(throws: CoordinatorError.self) { try await bench.split(shard.id) }
        #expect(bench.controlPlane.committed(.splits).isEmpty)
        #expect(try await bench.enrol(20..<25).count == 5)
        await bench.stop()
    }
}
