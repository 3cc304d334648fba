import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Shards whose copies or registers are lost, and what is made of the rest.
@Suite struct RecoveryTests {
    private static let shard = ShardID(Bits128(high: 1, low: 1))

    private static func id(_ number: UInt64) -> ReplicaID { ReplicaID(Bits128(high: 9, low: number)) }

    private static func register(
        generation: UInt32 = 0, version: UInt64 = 3, epoch: UInt64 = 4, inSync: [UInt64] = [1, 2],
        learners: [UInt64] = [3]
    ) -> ShardRegister {
        ShardRegister(
            shard: shard, generation: Generation(generation), version: version, epoch: Epoch(epoch),
            primary: id(inSync[0]), primaryIncarnation: Incarnation(5), inSync: inSync.map(id),
            learners: learners.map(id), minInSync: 2)
    }

    private static func copy(
        _ number: UInt64, _ condition: HeldCopy.Condition = .whole, epoch: UInt64 = 4, end: UInt64 = 100,
        of register: ShardRegister = register()
    ) throws -> LocatedCopy {
        LocatedCopy(
            node: try ClusterBench.node(Int(number)),
            copy: HeldCopy(
                replica: id(number), register: register, revision: 7, epoch: Epoch(epoch), condition: condition,
                end: LogIndex(end), endEpoch: Epoch(epoch)))
    }

    private func survivors(_ register: ShardRegister?, _ held: [LocatedCopy]) -> Survivors {
        Survivors(shard: Self.shard, register: register, held: held)
    }

    @Test func aMemberThatIsWholeIsNoLoss() throws {
        let register = Self.register()
        #expect(try survivors(register, [Self.copy(2)]).electable?.copy.replica == Self.id(2))
        #expect(try survivors(register, [Self.copy(3)]).electable == nil)
        // Torn ends are only believed where every member is there.
        #expect(try survivors(register, [Self.copy(1, .suspect), Self.copy(3)]).electable == nil)
        #expect(try survivors(register, [Self.copy(1, .suspect), Self.copy(2, .suspect)]).electable != nil)
        let lost = HeldCopy.Condition.lossProven(from: LogIndex(101))
        #expect(try survivors(register, [Self.copy(1, lost), Self.copy(2, .unusable(reason: ""))]).electable == nil)
    }

    @Test func theLogThatReachesFurthestGoesOn() throws {
        let lost = HeldCopy.Condition.lossProven(from: LogIndex(900))
        let held = [
            try Self.copy(1, lost, epoch: 3, end: 899), try Self.copy(3, epoch: 4, end: 80),
            try Self.copy(4, epoch: 4, end: 81), try Self.copy(5, .unusable(reason: "gone"), epoch: 5, end: 500),
        ]
        #expect(survivors(Self.register(), held).furthest?.copy.replica == Self.id(4))
        #expect(try survivors(Self.register(), [Self.copy(3, end: 0)]).furthest == nil)
    }

    @Test func anHeirIsAMemberOfTheNewestRegisterWhoseEndIsNotInDoubt() throws {
        let newer = Self.register(version: 5, epoch: 9, inSync: [1, 3], learners: [2])
        let held = [
            try Self.copy(1, .suspect, end: 120, of: newer), try Self.copy(2, end: 130),
            try Self.copy(3, end: 110, of: newer),
        ]
        let survivors = survivors(Self.register(), held)
        #expect(survivors.newest == newer && survivors.isForgotten)
        #expect(survivors.heir?.copy.replica == Self.id(3))
    }

    /// Above all that anybody knows, so that nobody takes an older word for a newer one.
    @Test func whatIsWrittenIsLaterThanEverythingKnown() throws {
        let older = Self.register(generation: 1, version: 2, epoch: 30, inSync: [4], learners: [])
        let held = [try Self.copy(1, epoch: 12), try Self.copy(4, epoch: 31, of: older)]
        let survivors = survivors(Self.register(version: 8), held)
        let next = try #require(survivors.successor(held[1], known: [Self.id(1), Self.id(4)]))
        #expect(next.generation == Generation(2) && next.version == 9 && next.epoch == Epoch(32))
        #expect(next.inSync == [Self.id(4)] && next.primary == Self.id(4) && next.primaryIncarnation == Incarnation(0))
        #expect(next.learners.isEmpty && next.minInSync == 2)
        let other = try #require(self.survivors(Self.register(), [held[0]]).successor(held[0], known: [Self.id(3)]))
        // Where the second is nobody knows.
        #expect(other.learners == [Self.id(3)] && other.generation == Generation(1))
    }

    @Test func aRegisterIsForgottenWhereCopiesKnowLaterOrItKnowsNone() throws {
        #expect(try survivors(nil, [Self.copy(1)]).isForgotten)
        #expect(try !survivors(Self.register(), [Self.copy(1)]).isForgotten)
        #expect(try !survivors(Self.register(epoch: 9), [Self.copy(1)]).isForgotten)
        #expect(try survivors(Self.register(epoch: 3), [Self.copy(1)]).isForgotten)
        #expect(try survivors(Self.register(inSync: [8], learners: []), [Self.copy(1)]).isForgotten)
        #expect(!survivors(Self.register(), []).isForgotten)
    }
}
