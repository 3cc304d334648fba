import FaceModel
import Foundation
import Testing

@testable import ClusterModel
@testable import ClusterTransport

/// What a node's disk holds, over the wire.
@Suite struct HeldCopyTests {
    private static let shard = ShardID(Bits128(high: 1, low: 1))

    private static func id(_ number: UInt64) -> ReplicaID { ReplicaID(Bits128(high: 9, low: number)) }

    private static func copy(_ number: UInt64, _ condition: HeldCopy.Condition, committed: LogIndex?) -> HeldCopy {
        HeldCopy(
            replica: id(number),
            register: ShardRegister(
                shard: shard, generation: Generation(2), version: 3, epoch: Epoch(4), primary: id(1),
                primaryIncarnation: Incarnation(5), inSync: [id(1), id(2)], learners: [id(3)], minInSync: 2),
            revision: 77, epoch: Epoch(6), condition: condition, end: LogIndex(120), endEpoch: Epoch(4),
            committed: committed)
    }

    @Test func copiesGoThereAndBack() async throws {
        let held = [
            Self.copy(1, .whole, committed: LogIndex(119)), Self.copy(2, .suspect, committed: nil),
            Self.copy(3, .lossProven(from: LogIndex(9)), committed: nil),
            Self.copy(4, .unusable(reason: "its disk is gone"), committed: nil),
        ]
        var answers = TestShards.Answers()
        answers.held = { (node, shard) throws(NodeError) in
            guard shard != Self.shard else { return held }
            throw NodeError(node: node, reason: "asked for \(shard?.description ?? "all")")
        }
        try await withNode(TestShards(answers)) { node in
            let deadline = ContinuousClock.now + .seconds(30)
            let answer = try await node.remote.copies(ofNode: node.id, of: Self.shard, deadline: deadline)
            #expect(answer == held)
            await #expect(throws: NodeError(node: node.id, reason: "asked for all")) {
                try await node.remote.copies(ofNode: node.id, of: nil, deadline: deadline)
            }
        }
        try await withNode(TestShards(answers), asker: .operator) { node in
            await #expect(throws: NodeError.self) {
                try await node.remote.copies(ofNode: node.id, of: Self.shard, deadline: .now + .seconds(30))
            }
        }
    }

    @Test func bodiesAreChecked() throws {
        func field(_ change: (inout WireHeldCopiesAnswer) -> Void) -> String? {
            var answer = WireHeldCopiesAnswer([Self.copy(1, .whole, committed: LogIndex(1))])
            change(&answer)
            do throws(BodyError) {
                _ = try answer.domain()
                return nil
            } catch {
                return error.field
            }
        }
        #expect(field { _ in } == nil)
        #expect(field { $0.copies[0].replica = Data(count: 15) } == "copies[0].replica")
        #expect(field { $0.copies[0].shard = Data() } == "copies[0].shard")
        #expect(field { $0.copies[0].end = .max } == "copies[0].end")
        #expect(field { $0.copies[0].committed = .max } == "copies[0].committed")
        #expect(field { $0.copies[0].lostFrom = .max } == "copies[0].lost_from")
        #expect(field { $0.copies[0].clearRegister() } == "copies[0].append.register.primary")
        #expect(field { $0.copies = Array(repeating: $0.copies[0], count: 65_537) } == "copies")
    }
}
