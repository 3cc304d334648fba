import FaceModel
import Testing

@testable import Replication

/// When a replica wants to be woken, and what it then does.
@Suite struct WakingTests {
    private func primary(_ isr: [Int], learners: [Int] = [], minISR: Int = 2) -> ReplicaScript {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: isr, learners: learners, minISR: minISR))
        _ = script.register(
            ReplicaScript.configuration(epoch: 1, isr: isr, learners: learners, minISR: minISR), revision: 2)
        _ = script.synced()
        for replica in isr where replica > 0 { _ = script.acknowledge(replica, 1) }
        return script
    }

    private func follower(isr: [Int] = [0, 1, 2], learners: [Int] = []) -> ReplicaScript {
        ReplicaScript(
            0, ReplicaScript.configuration(epoch: 1, primary: 1, isr: isr, learners: learners, minISR: 2))
    }

    @Test func aLonePrimaryFallsSilentOnceItsLastBatchIsProved() throws {
        var script = primary([0], minISR: 1)
        #expect(script.core.isAlone)
        let proof = try #require(script.core.nextTick)
        #expect(proof.since(script.time) == ReplicaTiming(replicas: 1).idleConfirm)
        #expect(script.wake().sources == [.noop])
        #expect(script.core.nextTick == nil, "its sync is out, and its end is an event")
        _ = script.synced()
        #expect(script.core.nextTick == nil)
        _ = script.write()
        #expect(script.synced().answers == [.committed(LogIndex(3))])
        #expect(script.wake().sources == [.noop])
        _ = script.synced()
        #expect(script.core.nextTick == nil)
        #expect(script.step(.strongRead(RequestNumber(7))).answers == [.readable(LogIndex(4))])
        #expect(script.core.nextTick == nil)
    }

    @Test func aReadThatWaitsIsRefusedInItsTimeThoughNothingElseHappens() {
        var script = primary([0], minISR: 1)
        _ = script.wake()
        _ = script.synced()
        #expect(script.step(.sessionRead(RequestNumber(5), Generation(0), LogIndex(99))).answers.isEmpty)
        #expect(script.wake().answers == [.refused(.late)])
        #expect(script.core.nextTick == nil)
        #expect(script.step(.boundedRead(RequestNumber(6), bound: 0)).answers == [.readable(LogIndex(2))])
    }

    @Test func aStoppedReplicaWantsNothing() {
        var script = primary([0, 1])
        _ = script.step(.logFailed)
        #expect(script.core.nextTick == nil)
        #expect(!script.core.isAlone)
    }

    @Test func whoeverHasOthersIsNotAlone() {
        #expect(!primary([0, 1]).core.isAlone)
        var script = primary([0], learners: [1], minISR: 1)
        #expect(!script.core.isAlone, "the learner has not said that it knows no newer register")
        #expect(!script.acknowledge(1, 1).transactions.isEmpty)
        #expect(!script.core.isAlone, "a joiner is proposed")
    }

    @Test func anIdleShardBeatsSlowlyUntilItIsAsked() throws {
        let timing = ReplicaTiming(replicas: 2)
        var script = primary([0, 1])
        var gaps: [Int] = []
        var beatAt = script.time
        for _ in 0..<400 {
            let effects = script.wake()
            guard effects.contains(where: { if case .send = $0 { true } else { false } }) else { continue }
            gaps.append(script.time.since(beatAt))
            beatAt = script.time
            if !script.core.synchronizing { _ = script.acknowledge(1, script.core.log.last.value) }
            if script.core.durable < script.core.log.last { _ = script.synced() }
            _ = script.acknowledge(1, script.core.log.last.value)
        }
        #expect(gaps.contains(timing.heartbeat) && gaps.last == timing.idleHeartbeat)
        #expect(gaps.allSatisfy { $0 <= timing.idleHeartbeat })
        #expect(script.core.configuration.isr.count == 2, "nobody was shrunk away")
        _ = script.step(.strongRead(RequestNumber(9)))
        _ = script.message(.confirmed(round: 1), 1)
        let next = try #require(script.core.nextTick)
        #expect(next.since(script.time) <= timing.heartbeat)
    }

    @Test func aMemberThatIsWokenOnlyWhenItAsksSuspectsInTime() {
        var script = follower()
        let start = script.time
        var suspicions: [Int] = []
        for _ in 0..<12 where script.wake().contains(.suspectPrimary(Epoch(1))) {
            suspicions.append(script.time.since(start))
        }
        #expect(suspicions.prefix(3) == [1_501, 2_001, 2_501])
    }

    @Test func whoSleptDoesNotTakeItForTheOthersSilence() {
        var script = follower()
        script.time = Moment(milliseconds: script.time.milliseconds + 60_000)
        #expect(script.step(.tick).isEmpty)
        var sleeper = primary([0, 1])
        sleeper.time = Moment(milliseconds: sleeper.time.milliseconds + 60_000)
        #expect(sleeper.step(.tick).transactions.isEmpty)
    }

    /// A learner that nobody sends anything may not be known to the primary yet.
    @Test func anUnheardLearnerAsksForTheLog() {
        var script = follower(isr: [1, 2], learners: [0])
        for _ in 0..<3 { #expect(script.wake().isEmpty) }
        #expect(script.wake().first == .send(script.asked(.mismatch(hint: .zero)), to: ReplicaScript.ids[1]))
        var primary = primary([0, 1])
        #expect(primary.message(.mismatch(hint: .zero), 3) == [.readRegister])
    }

    /// What is lost to one that is gone is not sent again and again.
    @Test func whoIsSilentGetsNoRecordsUntilItIsHeard() {
        var script = primary([0, 1])
        _ = script.write(5)
        var sent: [ReplicaMessage.Append] = []
        for _ in 0..<12 { sent += script.wake().appends }
        #expect(sent.count > 5 && sent.allSatisfy { $0.range.last == $0.range.previous.index }, "\(sent)")
        #expect(script.acknowledge(1, 1).appends.first?.range.previous.index == LogIndex(1))
    }

    /// Others may have read of the epoch, and fence it, before the process that was chosen for it has.
    @Test func aChosenProcessReignsThoughItHeardOfTheEpochFirst() {
        var script = ReplicaScript(0, ReplicaScript.configuration(epoch: 1, primary: 1, isr: [0, 1], minISR: 2))
        #expect(script.message(.fenced, 1, epoch: 2).contains(.readRegister))
        let reign = ReplicaScript.configuration(epoch: 2, primary: 0, isr: [0, 1], minISR: 2)
        #expect(script.register(reign, revision: 2).sources == [.epochStart])
        #expect(script.core.isPrimary)
        // Once only: what it wrote it may have been told to remove since.
        _ = script.message(.fenced, 1, epoch: 3)
        #expect(!script.core.isPrimary)
        #expect(script.register(reign, revision: 3).sources.isEmpty)
    }

    @Test func whoReadsOfANewReignTellsThePrimary() {
        var script = ReplicaScript(0, ReplicaScript.configuration(epoch: 1, primary: 1, isr: [0, 1, 2], minISR: 2))
        let reign = ReplicaScript.configuration(epoch: 2, primary: 2, isr: [0, 1, 2], minISR: 2)
        let effects = script.register(reign, revision: 2)
        #expect(effects.last == .send(script.asked(.fenced), to: ReplicaScript.ids[2]))
    }
}
