import FaceModel
import Testing

@testable import ClusterModel
@testable import ClusterTransport

/// Calls from one end to the other, over mutual TLS on the loopback.
@Suite struct ServiceTests {
    @Test func everyMethodOfShardsGoesThereAndBack() async throws {
        let shards = TestShards()
        try await withNode(shards) { node in
            let call = node.call()
            let remote = node.remote
            try await remote.open(.sample, .making, call)
            let enrolled = try await remote.enrol([.sample], call)
            #expect(
                enrolled
                    == EnrolOutcome(
                        faces: [FaceID(Bits128(high: 1, low: 0))], at: ShardPosition(Generation(0), LogIndex(1))))
            let deleted = try await remote.delete(enrolled.faces, token: RequestToken(Bits128(high: 0, low: 9)), call)
            #expect(
                deleted
                    == DeleteOutcome(
                        deleted: enrolled.faces, notFound: [], at: ShardPosition(Generation(2), LogIndex(9))))
            let search = ShardSearch(query: .sample, limit: 5, minScore: 0.5, sigmas: .infinity, buckets: [.root])
            let at = ShardPosition(Generation(1), LogIndex(3))
            let found = try await remote.search([search, search], call)
            #expect(found.map(\.facesScored) == [7, 7] && found.map(\.at) == [at, at])
            #expect(found.map(\.buckets) == [2, 2] && found.map(\.tree) == [LogIndex(2), LogIndex(2)])
            let page = try await remote.buckets(after: LeafID(8), limit: 3, call)
            #expect(page == BucketPage(tree: LogIndex(2), buckets: [.sample(9), .sample(300)], more: true))
            #expect(try await remote.sample(SampleRequest(every: 3, limit: 2), call) == [.sample(1), .sample(2)])
            #expect(try await remote.faces(enrolled.faces, call).faces.map(\.id) == enrolled.faces)
            #expect(try await remote.vector(enrolled.faces[0], call) == nil)
            #expect(try await remote.list(after: enrolled.faces[0], limit: 3, call).more)
            #expect(try await remote.statistics(call).writesRefused == "disk full")
            #expect(try await remote.statistics(ofNode: call.node, deadline: call.deadline).diskTotalBytes == 9)
            try await remote.drop(call)
            for seen in shards.calls {
                #expect(seen.shard == call.shard && seen.roots == call.roots && seen.request == call.request)
                #expect(seen.node == call.node)
            }
            #expect(shards.calls.count == 11)
        }
    }
}
