import FaceModel
import Testing

@testable import Replication

/// A copy that lacks records which the primary's log no longer holds.
@Suite struct LaggingCopyTests {
    /// A primary alone in sync, its log as far as 31 and its beginning gone, and a learner that holds nothing.
    private func trimmed() -> ReplicaScript {
        var script = ReplicaScript(0, ReplicaScript.configuration(isr: [0], learners: [1], minISR: 1))
        _ = script.register(
            ReplicaScript.configuration(epoch: 1, isr: [0], learners: [1], minISR: 1), revision: 2)
        _ = script.synced()
        _ = script.message(.mismatch(hint: .zero), 1)
        _ = script.acknowledge(1, 1)
        _ = script.write(30)
        _ = script.synced()
        _ = script.step(.logBegins(LogIndex(20)))
        return script
    }

    private func needed(_ effects: [ReplicaEffect]) -> [LogIndex] {
        effects.compactMap {
            guard case .send(let message, ReplicaScript.ids[1]) = $0, case .copyNeeded(let first) = message.body
            else { return nil }
            return first
        }
    }

    @Test func isToldSoOnceAHeartbeat() {
        var script = trimmed()
        // Another process, which lost what the one before had.
        let answer = script.message(.mismatch(hint: LogIndex(5)), 1, 2)
        #expect(answer.appends.isEmpty)
        var told = 0
        for _ in 0..<10 {
            told += needed(script.wait(60)).count
            #expect(script.message(.mismatch(hint: LogIndex(5)), 1, 2).appends.isEmpty)
        }
        #expect((8...11).contains(told))
    }

    @Test func isSentTheLogFromTheFirstRecordThatIsHeld() {
        var script = trimmed()
        _ = script.message(.mismatch(hint: LogIndex(5)), 1, 2)
        let sent = script.message(.mismatch(hint: LogIndex(19)), 1, 2).appends
        #expect(sent.first?.range.previous == LogPoint(epoch: Epoch(1), index: LogIndex(19)))
        #expect(sent.first?.range.last == LogIndex(31))
        #expect(needed(script.wait(60)).isEmpty)
    }

    private func follower(isr: [Int], learners: [Int], applied: UInt64) -> ReplicaScript {
        var outline = LogOutline()
        outline.append(12, of: Epoch(1))
        var script = ReplicaScript(
            1, ReplicaScript.configuration(epoch: 1, isr: isr, learners: learners, minISR: 1),
            scanned: .init(outline: outline, tail: .clean), applied: LogIndex(applied))
        _ = script.wait(20)
        return script
    }

    private func fetches(_ effects: [ReplicaEffect]) -> Int {
        effects.count { $0 == .fetchCopy(from: ReplicaScript.ids[0]) }
    }

    @Test func aLearnerFetchesACopyFromItsPrimary() {
        var script = follower(isr: [0], learners: [1], applied: 10)
        let effects = script.message(.copyNeeded(first: LogIndex(20)), 0)
        #expect(fetches(effects) == 1)
        #expect(
            effects.contains(
                .send(script.asked(.mismatch(hint: LogIndex(12))), to: ReplicaScript.ids[0])))
        // It heard its primary.
        #expect(!script.wait(1_000).contains(.readRegister))
    }

    /// A member whose log differs behind what is committed says where the logs may agree, not for ever where they do not.
    @Test func aLogThatReachesTheBeginningIsComparedThere() {
        var member = follower(isr: [0, 1], learners: [], applied: 8)
        let effects = member.message(.copyNeeded(first: LogIndex(11)), 0)
        #expect(
            effects.contains(.send(member.asked(.mismatch(hint: LogIndex(10))), to: ReplicaScript.ids[0])))
    }

    @Test func whoHoldsEnoughOrIsInSyncOrHearsAnotherFetchesNone() {
        var reaching = follower(isr: [0], learners: [1], applied: 12)
        #expect(fetches(reaching.message(.copyNeeded(first: LogIndex(13)), 0)) == 0)
        #expect(fetches(reaching.message(.copyNeeded(first: LogIndex(14)), 0)) == 1)
        var member = follower(isr: [0, 1], learners: [], applied: 10)
        let effects = member.message(.copyNeeded(first: LogIndex(20)), 0)
        // It was one when it went away.
        #expect(fetches(effects) == 0 && effects.contains(.readRegister))
        var other = follower(isr: [0], learners: [1, 2], applied: 10)
        #expect(fetches(other.message(.copyNeeded(first: LogIndex(20)), 2)) == 0)
        #expect(other.message(.copyNeeded(first: LogIndex(20)), 0, epoch: 0).count == 1)
    }
}
