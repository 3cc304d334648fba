import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// A segment whose file goes bad while it is searched: nothing is answered from that shard any more.
@Suite struct SegmentDamageTests {
    private let root = NSTemporaryDirectory() + "facet-rot-\(ProcessInfo.processInfo.globallyUniqueString)"

    private var descriptor: ShardDescriptor {
        ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
            shard: ShardID(Bits128(high: 2, low: 2)), replica: ReplicaID(Bits128(high: 2, low: 2)), dimension: 64,
            modelVersion: "1.0",
            idKey: [UInt8](repeating: 5, count: 32), roots: [.root])
    }

    private func face(_ number: Int) -> NewFace {
        var random = SplitMix(state: UInt64(number) &* 77)
        var values = (0..<64).map { _ in Float.random(in: -1...1, using: &random) }
        let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        for index in values.indices { values[index] /= norm }
        return NewFace(
            vector: RotatedVector(rotated: values), externalImageID: nil,
            record: FaceRecord(imageID: nil, detail: nil), token: .none)
    }

    @Test func aBlockThatRotsEndsTheAnswers() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 2))
        let call = descriptor.call()
        try await node.open(descriptor, .making, call)
        for start in stride(from: 0, to: 5_000, by: 1_000) {
            _ = try await node.enrol((start..<start + 1_000).map(face), call)
        }
        let query = ShardSearch(query: face(7).vector, limit: 3, minScore: -1, sigmas: 6)
        #expect(try await node.search([query], call).first?.facesScored == 5_000)
        // It is made behind the answer to the batch that fills it.
        while try await node.statistics(call).segments == 0 { try await Task.sleep(for: .milliseconds(10)) }

        let folder = "\(root)/\(descriptor.shard)/segments"
        let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first { $0 != "MANIFEST" })
        let file = try POSIXFileSystem().open(folder + "/" + name, .readWrite)
        let bytes = try file.read(count: try file.size(), at: 0)
        try file.write(all: bytes.map { $0 ^ 0x20 }, at: 0)

        for _ in 0..<2 {
            await #expect {
                try await node.search([query], call)
            } throws: { error in
                if case .damaged(descriptor.shard, let reason)? = error as? ShardError {
                    reason.contains(name)
                } else {
                    false
                }
            }
        }
        await #expect(throws: ShardError.self) { try await node.list(after: nil, limit: 1, call) }
        await node.stop()
    }
}
