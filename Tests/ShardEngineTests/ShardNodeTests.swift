import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// A node on the real disk, as a server runs it.
@Suite struct ShardNodeTests {
    private static let dimension = 64

    private let root = NSTemporaryDirectory() + "facet-node-\(ProcessInfo.processInfo.globallyUniqueString)"

    private var descriptor: ShardDescriptor {
        ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
            shard: ShardID(Bits128(high: 2, low: 2)), replica: ReplicaID(Bits128(high: 2, low: 2)),
            dimension: Self.dimension, modelVersion: "1.0",
            idKey: [UInt8](repeating: 5, count: 32), roots: [.root])
    }

    private var call: ShardCall { descriptor.call() }

    private func node() async throws -> ShardNode {
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 2))
        try await node.open(descriptor, .making, call)
        return node
    }

    private func faces(_ range: Range<Int>) -> [NewFace] {
        range.map { number in
            var random = SplitMix(state: UInt64(number) &* 77)
            var values = (0..<Self.dimension).map { _ in Float.random(in: -1...1, using: &random) }
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for index in values.indices { values[index] /= norm }
            return NewFace(
                vector: RotatedVector(rotated: values), externalImageID: ExternalImageID("face:\(number)"),
                record: FaceRecord(imageID: ImageID(.random(using: &random)), detail: nil), token: .none)
        }
    }

    private func enrol(_ node: ShardNode, _ range: Range<Int>) async throws -> [FaceID] {
        var ids: [FaceID] = []
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 1_000) {
            let batch = faces(start..<min(start + 1_000, range.upperBound))
            ids += try await node.enrol(batch, call).faces
        }
        return ids
    }

    private func search(_ node: ShardNode, like number: Int, limit: Int = 5) async throws -> ShardSearchAnswer {
        let query = faces(number..<number + 1)[0].vector
        let search = ShardSearch(query: query, limit: limit, minScore: -1, sigmas: 6)
        return try #require(try await node.search([search], call).first)
    }

    /// The score as search.md defines it, written once more.
    private func reference(_ a: RotatedVector, _ b: RotatedVector) -> Float {
        var lanes = [Double](repeating: 0, count: 8)
        for index in a.values.indices { lanes[index % 8] += Double(a.values[index]) * Double(b.values[index]) }
        return Float(((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7])))
    }

    @Test func everyFaceIsFoundThroughBufferFlushMergeAndRestart() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var node = try await node()
        let ids = try await enrol(node, 0..<13_000)
        #expect(Set(ids).count == 13_000)
        for life in 0..<3 {
            let statistics = try await node.statistics(call)
            #expect(statistics.faces == 13_000)
            #expect(statistics.segments >= 1)
            for number in [0, 4_095, 4_096, 12_999, 7_777 + life] {
                let answer = try await search(node, like: number)
                #expect(answer.facesScored == 13_000)
                #expect(answer.candidates.first?.face.id == ids[number])
                #expect(answer.candidates.first?.face.externalImageID == ExternalImageID("face:\(number)"))
            }
            await node.stop()
            node = try await self.node()
        }
        await node.stop()
    }

    @Test func candidatesEqualAnExactSearchOrderIncluded() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = try await node()
        let ids = try await enrol(node, 0..<6_000)
        let gone = Set(stride(from: 0, to: 6_000, by: 7))
        let outcome = try await node.delete(gone.map { ids[$0] }, token: .none, call)
        #expect(outcome.deleted.count == gone.count)
        let living = faces(0..<6_000).enumerated().filter { !gone.contains($0.offset) }
        for probe in [1, 7, 100, 5_999] {
            let query = faces(probe..<probe + 1)[0].vector
            let expected = living.map { Match(face: ids[$0.offset], score: reference(query, $0.element.vector)) }
                .sorted(by: Match.precedes).prefix(50)
            let answer = try await search(node, like: probe, limit: 50)
            #expect(answer.facesScored == living.count)
            #expect(answer.candidates.map { Match(face: $0.face.id, score: $0.score) } == Array(expected))
        }
        await node.stop()
    }

    @Test func aDeletedFaceStaysDeletedAndComesBackUnderANewId() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var node = try await node()
        let ids = try await enrol(node, 0..<5_000)
        let victims = Array(ids[0..<3_000])
        _ = try await node.delete(victims, token: .none, call)
        let again = try await node.delete(Array(victims.prefix(3)), token: .none, call)
        #expect(again.deleted.isEmpty && again.notFound.count == 3)
        for _ in 0..<3 {
            #expect(try await node.statistics(call).faces == 2_000)
            #expect(try await node.faces(victims, call).faces.isEmpty)
            #expect(try await search(node, like: 10).candidates.first?.face.id != ids[10])
            await node.stop()
            node = try await self.node()
        }
        let back = try await node.enrol(faces(10..<11), call).faces
        #expect(back != [ids[10]])
        #expect(try await search(node, like: 10).candidates.first?.face.id == back.first)
        await node.stop()
    }

    @Test func listingGivesEveryFaceOnceInOrder() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = try await node()
        let ids = try await enrol(node, 0..<5_000)
        for size in [1_000, 4_096, 4_999, 5_000, 7_000] {
            var listed: [FaceID] = []
            var more = true
            while more {
                let page = try await node.list(after: listed.last, limit: size, call)
                listed += page.faces.map(\.id)
                more = page.more
            }
            #expect(listed == ids.sorted())
        }
        await node.stop()
    }

    @Test func placesThatACrashLeftBehindTheManifestAreDerivedAnew() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var node = try await node()
        let ids = try await enrol(node, 0..<5_000)
        await node.stop()
        let state = try ShardState(path: "\(root)/\(descriptor.shard)/state.sqlite")
        try state.place([], inSegment: 0, of: [])
        try state.forgetPlaces()
        try state.close()
        node = try await self.node()
        #expect(try await node.statistics(call).faces == 5_000)
        #expect(try await search(node, like: 3).candidates.first?.face.id == ids[3])
        #expect(try await node.vector(ids[3], call) == faces(3..<4)[0].vector)
        await node.stop()
    }

    /// A loss of power between a flush and the state's own sync, and an orderly restart after it.
    @Test func aStateThatACrashTookBackBehindTheSegmentsIsBroughtForwardForGood() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let path = "\(root)/\(descriptor.shard)/state.sqlite"
        var node = try await node()
        var ids = try await enrol(node, 0..<4_000)
        await node.stop()
        try FileManager.default.copyItem(atPath: path, toPath: path + ".before")
        node = try await self.node()
        ids += try await enrol(node, 4_000..<4_500)
        _ = try await node.delete(Array(ids[4_100..<4_110]), token: .none, call)
        #expect(try await node.statistics(call).segments == 1)
        await node.stop()
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: path + ".before", toPath: path)
        for _ in 0..<2 {
            node = try await self.node()
            #expect(try await node.statistics(call).faces == 4_490)
            #expect(try await search(node, like: 4_050).candidates.first?.face.id == ids[4_050])
            #expect(try await search(node, like: 4_105).candidates.first?.face.id != ids[4_105])
            await node.stop()
        }
    }

    @Test func writersAtOnceAllGetTheirAnswers() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = try await node()
        let descriptor = descriptor
        try await withThrowingTaskGroup(of: Int.self) { group in
            for writer in 0..<40 {
                let batch = faces(writer * 10..<writer * 10 + 20)
                group.addTask { try await node.enrol(batch, descriptor.call()).faces.count }
            }
            for try await count in group { #expect(count == 20) }
        }
        #expect(try await node.statistics(call).faces == 410)
        await node.stop()
    }

    @Test func damageIsNamedAndOtherShardsGoOn() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let first = try await node()
        _ = try await enrol(first, 0..<5_000)
        await first.stop()
        let folder = "\(root)/\(descriptor.shard)/segments"
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasPrefix("seg") })
        let file = try POSIXFileSystem().open("\(folder)/\(name)", .readWrite)
        let byte = try file.read(count: 1, at: 9_000)[0]
        try file.write(all: [byte ^ 0xFF], at: 9_000)
        file.close()
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1))
        await #expect {
            try await node.open(descriptor, .existing, call)
        } throws: { error in
            if case .damaged(_, let reason)? = error as? ShardError { reason.contains(name) } else { false }
        }
        await #expect(throws: ShardError.self) { try await search(node, like: 1) }
        var other = descriptor
        other.shard = ShardID(Bits128(high: 8, low: 8))
        other.replica = ReplicaID(other.shard.bits)
        try await node.open(other, .making, other.call())
        #expect(try await node.statistics(other.call()).faces == 0)
        await node.stop()
    }

    @Test func aQueryOfAnotherDimensionIsRefused() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = try await node()
        let query = RotatedVector(rotated: [Float](repeating: 0.1, count: 128))
        await #expect(throws: ShardError.wrongDimension(expected: 64, got: 128)) {
            try await node.search([ShardSearch(query: query, limit: 1, minScore: -1, sigmas: 6)], call)
        }
        await node.stop()
    }
}
