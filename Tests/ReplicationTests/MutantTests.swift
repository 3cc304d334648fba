import FaceModel
import Testing

@testable import Replication

/// Mistakes that the simulation meets too seldom, met on purpose.
@Suite struct MutantTests {
    private func primary(_ mutant: Mutant?, isr: [Int] = [0, 1], learners: [Int] = []) -> ReplicaScript {
        var script = ReplicaScript(
            0, ReplicaScript.configuration(isr: isr, learners: learners, minISR: isr.count), mutant: mutant)
        let reign = ReplicaScript.configuration(epoch: 1, isr: isr, learners: learners, minISR: isr.count)
        _ = script.register(reign, revision: 2)
        _ = script.synced()
        for replica in isr where replica > 0 { _ = script.acknowledge(replica, 1) }
        return script
    }

    @Test(arguments: [nil, Mutant.ignoreJoinersIncarnation]) func joinersAreCompared(mutant: Mutant?) {
        var script = primary(mutant, learners: [2])
        let joiners = script.acknowledge(2, 1, incarnation: 3).transactions.first?.joiners
        #expect(joiners?.isEmpty == (mutant != nil))
    }

    @Test(arguments: [nil, Mutant.confirmByOne]) func everyMemberConfirmsAStrongRead(mutant: Mutant?) {
        var script = primary(mutant, isr: [0, 1, 2])
        #expect(script.step(.strongRead(RequestNumber(8))).answers.isEmpty)
        #expect(script.message(.confirmed(round: 1), 1).answers.isEmpty == (mutant == nil))
        if mutant == nil {
            #expect(script.message(.confirmed(round: 1), 2).answers == [.readable(LogIndex(1))])
        }
    }

    @Test(arguments: [nil, Mutant.forgetPendingOnRead]) func aPendingJoinerCountsUntilItsEndIsKnown(mutant: Mutant?) {
        var script = primary(mutant, learners: [2])
        #expect(!script.acknowledge(2, 1).transactions.isEmpty)
        _ = script.step(.register(script.core.memory.register))
        _ = script.write()
        _ = script.synced()
        #expect(script.acknowledge(1, 2).answers.isEmpty == (mutant == nil))
    }

    @Test(arguments: [nil, Mutant.forgetEpoch]) func anEpochIsPersistedBeforeItIsActedOn(mutant: Mutant?) {
        var script = ReplicaScript(1, ReplicaScript.configuration(epoch: 1, isr: [0, 1], minISR: 2), mutant: mutant)
        let effects = script.message(.confirm(round: 1), 0, epoch: 3)
        #expect(script.core.epoch == Epoch(3))
        let acts = effects.firstIndex { if case .send = $0 { true } else { false } } ?? effects.endIndex
        let persists = effects[..<acts].contains { effect in
            if case .persist(let memory) = effect { memory.epoch == Epoch(3) } else { false }
        }
        #expect(persists == (mutant == nil))
    }

    @Test(arguments: [nil, Mutant.noIdleNoop]) func theLastBatchIsConfirmed(mutant: Mutant?) {
        var script = primary(mutant)
        _ = script.write()
        _ = script.synced()
        #expect(script.wait(Limits.idleConfirmMilliseconds).sources == (mutant == nil ? [.noop] : []))
    }

    /// Of three copies two are in sync, and the third may know better: one answer besides its own is needed to serve.
    @Test(arguments: [nil, Mutant.serveUnconfirmedRegister]) func anUnconfirmedRegisterIsNotServed(mutant: Mutant?) {
        let configuration = ReplicaScript.configuration(isr: [0], learners: [1, 2], minISR: 1)
        var script = ReplicaScript(0, configuration, mutant: mutant)
        _ = script.register(
            ReplicaScript.configuration(epoch: 1, isr: [0], learners: [1, 2], minISR: 1), revision: 2)
        _ = script.synced()
        #expect(script.core.isServing == (mutant != nil))
        _ = script.acknowledge(1, 1)
        #expect(script.core.isServing == (mutant != nil))
        _ = script.acknowledge(2, 1)
        #expect(script.core.isServing)
    }

    /// A new copy knows of the register what the store said: where that was restored from a backup, its word adds nothing.
    @Test(arguments: [nil, Mutant.newCopyConfirms]) func aNewCopyConfirmsNothing(mutant: Mutant?) {
        let configuration = ReplicaScript.configuration(isr: [0, 1], learners: [2], minISR: 2)
        var script = ReplicaScript(0, configuration, mutant: mutant)
        _ = script.register(
            ReplicaScript.configuration(epoch: 1, isr: [0, 1], learners: [2], minISR: 2), revision: 2)
        _ = script.synced()
        #expect(script.wait(60).appends.allSatisfy { $0.commit == .zero })
        // At the minimum with a member that is silent, it would be taken in.
        let effects = script.message(.appended(match: LogIndex(1), version: 0), 2) + script.wait(1_100)
        #expect(effects.transactions.isEmpty == (mutant == nil))
        guard mutant == nil else { return }
        _ = script.acknowledge(1, 1)
        #expect(script.core.isServing)
        #expect(script.wait(60).appends.allSatisfy { $0.commit == LogIndex(1) })
    }

    /// A primary elected on a restored register may not write here, whatever its epoch.
    @Test(arguments: [nil, Mutant.followsOldRegister]) func anOldRegisterIsNotFollowed(mutant: Mutant?) {
        let known = ReplicaScript.configuration(epoch: 3, primary: 1, isr: [0, 1], minISR: 2, version: 4)
        var outline = LogOutline()
        outline.append(5, of: Epoch(3))
        var script = ReplicaScript(0, known, scanned: ScannedLog(outline: outline, tail: .clean), mutant: mutant)
        let restored = ReplicaScript.configuration(epoch: 4, primary: 2, isr: [0, 1, 2], minISR: 2, version: 3)
        let range = LogRange(
            previous: .init(epoch: Epoch(3), index: LogIndex(2)), runs: [.init(epoch: Epoch(4), first: LogIndex(3))],
            last: LogIndex(3))
        let effects = script.message(
            .append(
                .init(
                    range: range, commit: .zero,
                    register: RegisterState(configuration: restored, revision: 9))), 2, epoch: 4)
        #expect(effects.contains(.truncate(after: LogIndex(2))) == (mutant != nil))
    }

    /// A member counts for a commit once it knows that it does.
    @Test(arguments: [nil, Mutant.commitBeforeMembersKnow]) func membersKnowBeforeTheyCount(mutant: Mutant?) {
        var script = primary(mutant)
        _ = script.write()
        _ = script.synced()
        var other = script.core.configuration
        other = other.with(isr: other.isr)
        _ = script.register(other, revision: 5)
        let late = script.message(.appended(match: LogIndex(2), version: 1), 1)
        #expect(late.answers.isEmpty == (mutant == nil))
        if mutant == nil { #expect(script.acknowledge(1, 2).answers == [.committed(LogIndex(2))]) }
    }
}
