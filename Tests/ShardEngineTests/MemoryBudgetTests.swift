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
            shard: ShardID(Bits128(high: 2, low: 2)), dimension: Self.dimension, modelVersion: "1.0",
            idKey: [UInt8](repeating: 5, count: 32), roots: [.root])
    }

    private func face(_ number: Int) -> NewFace {
        var random = SplitMix(state: UInt64(number) &* 77)
        var values = (0..<Self.dimension).map { _ in Float.random(in: -1...1, using: &random) }
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
}
