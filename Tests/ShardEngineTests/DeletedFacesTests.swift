import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import StorageIO
import Testing

@testable import ShardEngine

/// Deleted faces are searched for by their own vectors, while a shard grows, merges and is opened anew. `FACET_DELETED` says
/// how many such searches, at least.
@Suite struct DeletedFacesTests {
    private static let searches = Int(ProcessInfo.processInfo.environment["FACET_DELETED"] ?? "") ?? 10_000
    /// Enrolled in a round, half of which are deleted in it; and searched for in a round at most.
    private static let (enrolled, searched) = (4_000, 10_000)

    private let root = NSTemporaryDirectory() + "facet-deleted-\(ProcessInfo.processInfo.globallyUniqueString)"
    private let descriptor = ShardDescriptor(
        tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)),
        shard: ShardID(Bits128(high: 6, low: 6)), replica: ReplicaID(Bits128(high: 6, low: 6)), dimension: 64,
        modelVersion: "1.0", idKey: [UInt8](repeating: 5, count: 32), roots: [.root])

    @Test func noneIsReturned() async throws {
        defer { _ = try? FileManager.default.removeItem(atPath: root) }
        var node = try await open(.making)
        var random = SplitMix(state: 8)
        var (gone, returned): ([(number: Int, id: FaceID)], Set<FaceID>) = ([], [])
        var (round, done) = (0, 0)
        while done < Self.searches {
            let numbers = Array(round * Self.enrolled..<(round + 1) * Self.enrolled)
            let ids = try await enrol(numbers, at: node)
            let deleted = zip(numbers, ids).filter { _ in Bool.random(using: &random) }
            for start in stride(from: 0, to: deleted.count, by: 1_000) {
                let some = deleted.dropFirst(start).prefix(1_000).map(\.1)
                _ = try await node.delete(some, token: .none, descriptor.call())
            }
            gone += deleted.map { (number: $0.0, id: $0.1) }
            // Of those that were deleted one in a hundred comes again, under another id.
            let again = deleted.enumerated().filter { $0.offset % 100 == 0 }.map(\.element.0)
            returned.formUnion(try await enrol(again, at: node))
            if round % 2 == 1 {
                await node.stop()
                node = try await open(.existing)
            }
            let wanted = gone.shuffled(using: &random).prefix(Self.searched)
            try await search(for: wanted, notTo: Set(gone.map(\.id)), at: node)
            (round, done) = (round + 1, done + wanted.count)
        }
        #expect(returned.isDisjoint(with: gone.map(\.id)))
        FileHandle.standardError.write(Data("\(done) searches for \(gone.count) deleted faces, none returned\n".utf8))
        await node.stop()
    }

    private func open(_ mode: OpenMode) async throws -> ShardNode {
        let node = ShardNode(directory: root, files: POSIXFileSystem(), pool: ScanPool(threads: 1))
        try await node.open(descriptor, mode, descriptor.call())
        return node
    }

    private func enrol(_ numbers: [Int], at node: ShardNode) async throws -> [FaceID] {
        var ids: [FaceID] = []
        for start in stride(from: 0, to: numbers.count, by: 1_000) {
            let faces = numbers.dropFirst(start).prefix(1_000).flatMap { CopiesBench.faces($0..<$0 + 1) }
            ids += try await node.enrol(faces, descriptor.call()).faces
        }
        return ids
    }

    private func search(
        for wanted: ArraySlice<(number: Int, id: FaceID)>, notTo gone: Set<FaceID>, at node: ShardNode
    ) async throws {
        for start in stride(from: 0, to: wanted.count, by: Limits.searchesPerRequestMax) {
            let searches = wanted.dropFirst(start).prefix(Limits.searchesPerRequestMax).map { face in
                ShardSearch(
                    query: CopiesBench.faces(face.number..<face.number + 1)[0].vector, limit: 3, minScore: -1, sigmas: 6
                )
            }
            let answers = try await node.search(searches, descriptor.call())
            let found = answers.flatMap(\.candidates).map(\.face.id)
            #expect(found.count == 3 * searches.count && gone.isDisjoint(with: found))
        }
    }
}
