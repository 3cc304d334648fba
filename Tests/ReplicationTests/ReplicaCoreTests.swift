import FaceModel
import Testing

@testable import Replication

@Suite struct ReplicaCoreTests {
    /// A primary of three whose first record is committed.
    private func primary(learners: [Int] = [], isr: [Int] = [0, 1, 2]) -> ReplicaScript {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: isr, learners: learners, minISR: 2))
        let reign = ReplicaScript.configuration(epoch: 1, isr: isr, learners: learners, minISR: 2)
        _ = script.register(reign, revision: 2)
        _ = script.synced()
        for replica in isr where replica > 0 { _ = script.acknowledge(replica, 1) }
        #expect(script.core.isServing)
        return script
    }

    @Test func oneCopyIsTheTrivialCase() {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: [0], minISR: 1))
        let first = script.register(ReplicaScript.configuration(epoch: 1, isr: [0], minISR: 1), revision: 2)
        #expect(first.sources == [.epochStart])
        if case .persist(let memory) = first.first {
            #expect(memory.epoch == Epoch(1))
        } else {
            Issue.record("\(first)")
        }
        #expect(script.write().answers == [.refused(.notServing)])
        _ = script.synced()
        #expect(script.write(3).answers.isEmpty)
        #expect(script.synced().answers == [.committed(LogIndex(4))])
        #expect(script.step(.strongRead(RequestNumber(9))).answers == [.readable(LogIndex(4))])
    }

    @Test func oneSyncIsOutAndTheNextCoversAllThatWaited() {
        var script = primary()
        let first = script.write()
        #expect(first.contains(.synchronize(LogPoint(epoch: Epoch(1), index: LogIndex(2)))))
        for _ in 0..<5 { #expect(!script.write().contains { if case .synchronize = $0 { true } else { false } }) }
        let next = script.step(.durable(LogPoint(epoch: Epoch(1), index: LogIndex(2))))
        #expect(next.contains(.synchronize(LogPoint(epoch: Epoch(1), index: LogIndex(7)))))
    }

    @Test func anIdlePrimaryConfirmsItsLastBatchOnce() {
        var script = primary()
        _ = script.write()
        #expect(script.wait(100).sources.isEmpty, "not before the batch itself is durable")
        _ = script.synced()
        #expect(script.wait(Limits.idleConfirmMilliseconds).sources == [.noop])
        _ = script.synced()
        #expect(script.wait(500).sources.isEmpty)
    }

    @Test func aCommitNeedsEveryMember() {
        var script = primary()
        _ = script.write()
        _ = script.acknowledge(1, 2)
        #expect(script.synced().answers.isEmpty)
        #expect(script.acknowledge(2, 2).answers == [.committed(LogIndex(2))])
    }

    @Test func aJoinerIsComparedByTheProcessThatAnswered() {
        var script = primary(learners: [3])
        let transaction = script.acknowledge(3, 1, incarnation: 7).transactions.first
        #expect(transaction?.joiners == [.init(replica: ReplicaScript.ids[3], incarnation: Incarnation(7))])
        #expect(transaction?.new.isr == ReplicaScript.ids)
        #expect(transaction?.new.version == 2)
        // From now on it counts.
        _ = script.write()
        _ = script.synced()
        _ = script.acknowledge(1, 2)
        #expect(script.acknowledge(2, 2).answers.isEmpty)
        #expect(script.acknowledge(3, 2, incarnation: 7).answers == [.committed(LogIndex(2))])
    }

    @Test func anUnknownOutcomeHoldsBothSetsAndIsAskedAgain() throws {
        var script = primary()
        _ = script.write()
        _ = script.synced()
        var shrink: [RegisterTransaction] = []
        for _ in 0..<25 {
            shrink += script.acknowledge(1, script.core.log.last.value).transactions
            shrink += script.wait(60).transactions
        }
        let first = try #require(shrink.first)
        #expect(first.new.isr == [ReplicaScript.ids[0], ReplicaScript.ids[1]])
        #expect(script.step(.transaction(first, .unknown)).answers.isEmpty)
        let unchanged = script.core.memory.register
        #expect(script.step(.register(unchanged)).answers.isEmpty, "a reading does not say that it will never be made")
        #expect(script.wait(400).transactions.contains(first))
        _ = script.step(.transaction(first, .made(revision: 3)))
        // The member that stays counts once it knows.
        #expect(script.acknowledge(1, 2).answers == [.committed(LogIndex(2))])
    }

    /// A change is sent again while its answer is on its way: the second answer, a refusal, is no refusal of the next.
    @Test func aLateAnswerSaysNothingOfTheNextChange() throws {
        var script = primary(learners: [3])
        _ = script.write()
        _ = script.synced()
        var changes: [RegisterTransaction] = []
        for _ in 0..<25 {
            changes += script.acknowledge(1, script.core.log.last.value).transactions
            changes += script.wait(60).transactions
        }
        let shrink = try #require(changes.first)
        _ = script.step(.transaction(shrink, .made(revision: 3)))
        _ = script.acknowledge(1, script.core.log.last.value)
        let join = try #require(
            script.acknowledge(3, script.core.log.last.value, incarnation: 7).transactions.first)
        #expect(join.expected == 3 && join.new.isr.contains(ReplicaScript.ids[3]))
        let register = RegisterState(configuration: shrink.new, revision: 3)
        _ = script.step(.transaction(shrink, .refused(register)))
        _ = script.write()
        _ = script.synced()
        let last = script.core.log.last
        // The joiner counts for as long as it may have been taken in.
        #expect(script.acknowledge(1, last.value).answers.isEmpty)
        #expect(script.acknowledge(3, last.value, incarnation: 7).answers == [.committed(last)])
    }

    @Test func whoIsToLeaveLeavesAndIsNotTakenInAgain() throws {
        var script = primary()
        let leaving = try #require(script.step(.retire(ReplicaScript.ids[2])).transactions.first)
        #expect(leaving.new.isr == [ReplicaScript.ids[0], ReplicaScript.ids[1]])
        _ = script.step(.transaction(leaving, .made(revision: 3)))
        for _ in 0..<20 {
            #expect(script.acknowledge(1, script.core.log.last.value).transactions.isEmpty)
            #expect(script.acknowledge(2, script.core.log.last.value).transactions.isEmpty)
            #expect(script.wait(60).transactions.isEmpty)
        }
        #expect(script.step(.retire(ReplicaScript.ids[0])).isEmpty, "the primary has another elected instead")
    }

    @Test func atTheMinimumWhoIsToLeaveWaitsForAnother() throws {
        var script = primary(learners: [3], isr: [0, 1])
        #expect(script.step(.retire(ReplicaScript.ids[1])).transactions.isEmpty)
        let change = try #require(script.acknowledge(3, 1, incarnation: 7).transactions.first)
        #expect(change.new.isr == [ReplicaScript.ids[0], ReplicaScript.ids[3]])
        #expect(change.joiners == [.init(replica: ReplicaScript.ids[3], incarnation: Incarnation(7))])
    }

    /// A shard of one copy got others, and then a minimum of two, while this replica ran: what confirms its register is
    /// reckoned by the new minimum. A new copy's word adds nothing, and taken in it would make an old register pass for newer.
    @Test func aRaisedMinimumIsReckonedWith() throws {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: [0], minISR: 1))
        _ = script.register(ReplicaScript.configuration(epoch: 1, isr: [0], minISR: 1), revision: 2)
        _ = script.synced()
        let raised = ReplicaScript.configuration(epoch: 1, isr: [0, 1], minISR: 2, version: 2)
        _ = script.register(raised, revision: 5)
        #expect(script.write().answers.isEmpty && script.synced().answers.isEmpty)
        #expect(script.acknowledge(1, 2).answers == [.committed(LogIndex(2))])
        #expect(script.wait(3_000).transactions.isEmpty, "the silent member is one of two")
        let again = ReplicaScript.configuration(epoch: 2, isr: [0, 1], learners: [2], minISR: 2, version: 2)
        _ = script.register(again, revision: 7)
        _ = script.synced()
        let joining = script.message(.appended(match: script.core.log.last, version: 0), 2) + script.wait(1_100)
        #expect(joining.transactions.isEmpty)
        _ = script.acknowledge(1, script.core.log.last.value)
        #expect(script.core.isServing)
    }

    @Test func nothingIsRemovedBelowTheCommit() {
        var outline = LogOutline()
        outline.append(5, of: Epoch(1))
        let configuration = ReplicaScript.configuration(epoch: 1, primary: 1, isr: [0, 1], minISR: 2)
        var script = ReplicaScript(0, configuration, scanned: ScannedLog(outline: outline, tail: .clean))
        let register = RegisterState(configuration: configuration, revision: 1)
        let same = LogRange(previous: .init(epoch: Epoch(1), index: LogIndex(5)), runs: [], last: LogIndex(5))
        _ = script.message(
            .append(.init(range: same, commit: LogIndex(4), register: register)), 1)
        #expect(script.core.commit == LogIndex(4))
        let other = LogRange(
            previous: .init(epoch: Epoch(1), index: LogIndex(3)), runs: [.init(epoch: Epoch(2), first: LogIndex(4))],
            last: LogIndex(4))
        let effects = script.message(
            .append(.init(range: other, commit: .zero, register: register)), 1, epoch: 2)
        #expect(effects.contains(.stop(.conflictBelowCommit(LogIndex(4)))))
        #expect(script.core.isStopped)
    }

    /// A log in doubt is complete when the primary says so to this process; a late message could speak of long ago.
    @Test func onlyThePrimaryKnowsThatALogIsComplete() {
        var outline = LogOutline()
        outline.append(5, of: Epoch(1))
        let configuration = ReplicaScript.configuration(epoch: 1, primary: 1, isr: [0, 1], minISR: 2)
        var script = ReplicaScript(0, configuration, scanned: ScannedLog(outline: outline, tail: .suspect))
        let range = LogRange(previous: .init(epoch: Epoch(1), index: LogIndex(5)), runs: [], last: LogIndex(5))
        let register = RegisterState(configuration: configuration, revision: 1)
        for complete in [nil, Incarnation(9), Incarnation(1)] as [Incarnation?] {
            _ = script.message(
                .append(.init(range: range, commit: LogIndex(5), register: register, complete: complete)), 1)
            #expect(script.core.isClean == (complete == Incarnation(1)))
        }
    }

    /// One of three answers, and one of the others may know of later members.
    @Test func onAnUnconfirmedRegisterNoMembersChange() {
        let isr = ReplicaScript.configuration(isr: [0], learners: [1, 2], minISR: 1)
        var script = ReplicaScript(0, isr)
        let reign = ReplicaScript.configuration(epoch: 1, isr: [0], learners: [1, 2], minISR: 1)
        _ = script.register(reign, revision: 2)
        _ = script.synced()
        #expect(script.acknowledge(1, 1).transactions.isEmpty)
        #expect(script.acknowledge(2, 1).transactions.count == 1)
    }

    @Test func anotherProcessThanTheChosenOneDoesNotReign() {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: [0, 1], minISR: 2))
        var reign = ReplicaScript.configuration(epoch: 1, isr: [0, 1], minISR: 2)
        reign.primaryIncarnation = Incarnation(9)
        _ = script.register(reign, revision: 2)
        #expect(!script.core.isPrimary)
        #expect(script.wait(40).contains(.suspectPrimary(Epoch(1))))
    }
}

@Suite struct ElectionTests {
    private let ids = ReplicaScript.ids

    private func report(_ replica: Int, clean: Bool = true, durable: UInt64, epoch: UInt64 = 1) -> ReplicaReport {
        ReplicaReport(
            replica: ids[replica], incarnation: Incarnation(1), isClean: clean,
            durable: LogPoint(epoch: Epoch(epoch), index: LogIndex(durable)))
    }

    private func chosen(_ reports: [ReplicaReport], stale: [Int] = []) -> ReplicaID? {
        let configuration = ReplicaScript.configuration(epoch: 4, isr: [0, 1, 2], learners: [3], minISR: 2)
        let current = ids.enumerated().map { ($1, Incarnation(stale.contains($0) ? 2 : 1)) }
        let successor = Election.successor(
            of: configuration, reports: reports, incarnations: Dictionary(uniqueKeysWithValues: current))
        if let successor {
            #expect(successor.epoch == Epoch(5))
            #expect(successor.isr == configuration.isr && successor.version == configuration.version)
        }
        return successor?.primary
    }

    @Test func theMostDurableCleanMemberIsChosen() {
        #expect(chosen([report(1, durable: 5), report(2, durable: 7), report(3, durable: 99)]) == ids[2])
        #expect(chosen([report(1, durable: 5, epoch: 2), report(2, durable: 7)]) == ids[1])
        #expect(chosen([report(0, durable: 9), report(1, durable: 5)]) == ids[1], "not the one that is suspected")
        #expect(chosen([report(0, durable: 9)]) == ids[0])
        #expect(chosen([report(1, clean: false, durable: 9), report(2, durable: 5)]) == ids[2])
        #expect(chosen([report(1, durable: 9), report(2, durable: 5)], stale: [1]) == ids[2])
        #expect(chosen([report(3, durable: 5)]) == nil)
        #expect(chosen([]) == nil)
    }

    @Test func logsInDoubtAreChosenFromOnlyWhenAllMembersHaveReported() {
        let doubtful = [report(0, clean: false, durable: 5), report(1, clean: false, durable: 6)]
        #expect(chosen(doubtful) == nil)
        #expect(chosen(doubtful + [report(2, clean: false, durable: 4)]) == ids[1])
    }
}
