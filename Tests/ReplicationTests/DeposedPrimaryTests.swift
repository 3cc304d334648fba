import FaceModel
import Testing

@testable import Replication

/// A primary that nobody tells of the next one.
@Suite struct DeposedPrimaryTests {
    /// The member may have been elected and be gone since; then the register says it, and nobody else.
    @Test func readsTheRegisterWhileAMemberThatItNeedsIsSilent() {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: [0, 1], minISR: 2))
        _ = script.register(ReplicaScript.configuration(epoch: 1, isr: [0, 1], minISR: 2), revision: 2)
        _ = script.synced()
        _ = script.acknowledge(1, 1)
        #expect(script.core.isServing)
        #expect(!script.wait(900).contains(.readRegister))
        #expect(script.wait(1_200).count { $0 == .readRegister } == 3)
        _ = script.synced()
        _ = script.acknowledge(1, 2)
        #expect(!script.wait(900).contains(.readRegister))
    }

    /// It cannot leave the silent member out, and another that reaches the store can, once it misses this one.
    @Test(arguments: [nil, Mutant.beatsWithoutStore]) func isSilentWhileTheStoreDoesNotAnswer(_ mutant: Mutant?) throws
    {
        let members = ReplicaScript.configuration(isr: [0, 1, 2], minISR: 2)
        var script = ReplicaScript(0, members, mutant: mutant)
        _ = script.register(ReplicaScript.configuration(epoch: 1, isr: [0, 1, 2], minISR: 2), revision: 2)
        _ = script.synced()
        for other in [1, 2] { _ = script.acknowledge(other, 1) }
        // Of a store that is only slow nobody notices anything.
        let early = heard(for: 2_300, &script)
        let shrink = try #require(early.transactions.first)
        #expect(shrink.new.isr == Array(ReplicaScript.ids.prefix(2)))
        #expect(!heard(for: 200, &script).appends.isEmpty)
        _ = heard(for: 300, &script)
        #expect(heard(for: 1_000, &script).appends.isEmpty == (mutant == nil))
        _ = script.step(.transaction(shrink, .made(revision: 3)))
        #expect(!heard(for: 200, &script).appends.isEmpty)
        #expect(script.core.isServing)
    }

    /// While one other member answers.
    private func heard(for milliseconds: Int, _ script: inout ReplicaScript) -> [ReplicaEffect] {
        var effects: [ReplicaEffect] = []
        for _ in stride(from: 0, to: milliseconds, by: 100) {
            effects += script.wait(100)
            effects += script.synced()
            effects += script.acknowledge(1, script.core.log.last.value)
        }
        return effects
    }

    /// A shard's first register may name one member of two that are needed: all others are new then.
    @Test func newCopiesJoinWhereTooFewAreNamed() {
        let first = ReplicaScript.configuration(epoch: 1, isr: [0], learners: [1, 2], minISR: 2)
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: [0], learners: [1, 2], minISR: 2))
        _ = script.register(first, revision: 2)
        _ = script.synced()
        #expect(!script.core.isServing)
        let joined = script.message(.appended(match: LogIndex(1), version: 0), 1).transactions.first?.new
        #expect(joined?.isr == [ReplicaScript.ids[0], ReplicaScript.ids[1]])
    }

    /// Told of by a primary whose register is confirmed, or taken in by one, it knows better than the store.
    @Test func aNewCopyKnowsTheRegisterOnceItWasTold() {
        let configuration = ReplicaScript.configuration(epoch: 1, primary: 1, isr: [1, 2], learners: [0], minISR: 2)
        let register = RegisterState(configuration: configuration, revision: 1)
        for commit in [0, 1] as [UInt64] {
            var script = ReplicaScript(0, configuration)
            script.core.memory = ReplicaMemory(begin: ReplicaScript.ids[0], register: register)
            let range = LogRange(previous: .zero, runs: [.init(epoch: Epoch(1), first: LogIndex(1))], last: LogIndex(1))
            _ = script.message(.append(.init(range: range, commit: LogIndex(commit), register: register)), 1)
            #expect(script.core.memory.isNew == (commit == 0))
            let said = script.synced().compactMap { effect -> UInt64? in
                guard case .send(let message, _) = effect, case .appended(_, let version) = message.body else {
                    return nil
                }
                return version
            }
            #expect(said == [commit])
            _ = script.register(configuration.with(isr: ReplicaScript.ids.dropLast(1)), revision: 2)
            #expect(!script.core.memory.isNew)
        }
    }
}
