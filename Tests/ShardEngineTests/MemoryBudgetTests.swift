import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// A node whose memory is used up, on the real disk.
@Suite struct MemoryBudgetTests {
    private static let dimension = 64
    private static let capacity = 2 << 20

    private let root = NSTemporaryDirectory() + "facet-budget-\(ProcessInfo.processInfo.globallyUniqueString)"

    private var descriptor: ShardDescriptor {
        ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
            shard: ShardID(Bits128(high: 2, low: 2)), replica: ReplicaID(Bits128(high: 2, low: 2)),
            dimension: Self.dimension, modelVersion: "1.0",
            idKey: [UInt8](repeating: 5, count: 32), roots: [.root])
    }

    private func face(_ number: Int) -> NewFace { face(number, dimension: Self.dimension) }

    private func face(_ number: Int, dimension: Int) -> NewFace {
        var random = SplitMix(state: UInt64(number) &* 77)
        var values = (0..<dimension).map { _ in Float.random(in: -1...1, using: &random) }
        let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        for index in values.indices { values[index] /= norm }
        return NewFace(
            vector: RotatedVector(rotated: values), externalImageID: nil,
            record: FaceRecord(imageID: ImageID(.random(using: &random)), detail: nil), token: .none)
    }

    /// The new faces, or why they were refused.
    private func enrol(
        _ count: Int, behind first: Int, in node: ShardNode
    ) async throws(ShardError) -> (faces: [FaceID], refusal: String?) {
        do throws(ShardError) {
            return (try await node.enrol((first..<first + count).map(face), descriptor.call()).faces, nil)
        } catch {
            guard case .writesRefused(_, let reason) = error else { throw error }
            return ([], reason)
        }
    }

    @Test func enrolmentsEndBeforeTheBudgetAndTheRestGoesOn() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        let node = ShardNode(
            directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1), capacityBytes: Self.capacity)
        let call = descriptor.call()
        try await node.open(descriptor, .making, call)
        var enrolled: [FaceID] = []
        var refusal: String?
        while refusal == nil, enrolled.count < 60_000 {
            let (faces, reason) = try await enrol(500, behind: enrolled.count, in: node)
            enrolled += faces
            refusal = reason
            #expect(try await node.statistics(call).residentBytes <= Self.capacity)
        }
        try #require(refusal?.contains("memory") == true, "\(refusal ?? "nothing was refused")")
        // Vectors in memory alone would have been 4 x 64 bytes a face; most stand in segments by now.
        #expect(enrolled.count * 4 * Self.dimension > Self.capacity)

        let query = ShardSearch(query: face(3).vector, limit: 1, minScore: -1, sigmas: 6)
        #expect(try await node.search([query], call).first?.candidates.first?.face.id == enrolled[3])
        let outcome = try await node.delete(Array(enrolled.prefix(100)), token: .none, call)
        #expect(outcome.deleted.count == 100)
        #expect(try await node.search([query], call).first?.facesScored == enrolled.count - 100)
        await node.stop()
    }

    /// What the system holds of files counts in no budget: the same faces hold a third of the memory.
    @Test func planesThatAreMappedAreNotHeld() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var large = descriptor
        large.dimension = 512
        let call = large.call()
        let faces = (0..<4_100).map { face($0, dimension: 512) }
        var held: [Bool: Int] = [:]
        var found: [Bool: [FaceID]] = [:]
        for mapsPlanes in [false, true] {
            let node = ShardNode(
                directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1), mapsPlanes: mapsPlanes)
            try await node.open(large, mapsPlanes ? .existing : .making, call)
            if !mapsPlanes {
                for start in stride(from: 0, to: faces.count, by: 820) {
                    _ = try await node.enrol(Array(faces[start..<start + 820]), call)
                }
                // Changes nothing, and is answered once the buffer that the last one filled was flushed.
                _ = try await node.enrol([faces[0]], call)
            }
            #expect(try await node.statistics(call).segments == 1)
            held[mapsPlanes] = try await node.statistics(call).residentBytes
            let query = ShardSearch(query: faces[9].vector, limit: 5, minScore: -1, sigmas: 6)
            found[mapsPlanes] = try await node.search([query], call)[0].candidates.map(\.face.id)
            await node.stop()
        }
        #expect(found[true] == found[false] && found[true]?.count == 5)
        let (mapped, inMemory) = (try #require(held[true]), try #require(held[false]))
        #expect((4_096 * 200...4_200 * 216).contains(inMemory - mapped), "\(inMemory) B and \(mapped) B")
    }
}
