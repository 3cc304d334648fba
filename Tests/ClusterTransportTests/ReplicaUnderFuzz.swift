import FaceModel
import Replication
import Testing

@testable import ClusterTransport

/// A replica with a short log that is told whatever a letter says, as a follower and as a primary, and then reigns.
enum ReplicaUnderFuzz {
    private static let own = ReplicaID(Bits128(high: 0, low: 1))
    private static let other = ReplicaID(Bits128(high: 0, low: 2))
    private static let process = Incarnation(1)

    private static func configuration(epoch: UInt64, of primary: ReplicaID) -> RegisterState {
        RegisterState(
            configuration: ShardConfiguration(
                generation: Generation(0), version: 1, epoch: Epoch(epoch), primary: primary,
                primaryIncarnation: process, isr: [own, other], learners: [], minISR: 1),
            revision: epoch)
    }

    /// Of this replica's shard, and near enough to its log to be taken.
    static func letter(_ arbitrary: inout Arbitrary) -> ReplicaLetter {
        var letter = arbitrary.bool() ? arbitrary.letter() : arbitrary.append(records: 0...6)
        letter.message.generation = Generation(0)
        letter.message.epoch = Epoch(UInt64(arbitrary.int(3...6)))
        guard case .append(var append) = letter.message.body else { return letter }
        append.register = configuration(epoch: letter.message.epoch.value, of: other)
        let start = UInt64(arbitrary.int(0...5))
        let previous = LogPoint(epoch: Epoch(min(start, 2)), index: LogIndex(start))
        append.commit = LogIndex(UInt64(arbitrary.int(0...8)))
        let count = UInt64(letter.records.count)
        append.range = LogRange(
            previous: previous, runs: count == 0 ? [] : [.init(epoch: Epoch(3), first: LogIndex(start + 1))],
            last: LogIndex(start + count))
        for index in letter.records.indices {
            letter.records[index].lsn = LogIndex(start + 1 + UInt64(index))
            letter.records[index].epoch = Epoch(3)
        }
        letter.message.body = .append(append)
        return letter
    }

    static func take(_ letter: ReplicaLetter) {
        for primary in [own, other] {
            var replica = replica(of: primary)
            _ = replica.step(.message(letter.message, from: other), at: Moment(milliseconds: 10))
            _ = replica.step(.durable(replica.log.end), at: Moment(milliseconds: 11))
            _ = replica.step(.tick, at: Moment(milliseconds: 500))
            let next = max(replica.epoch.value, replica.configuration.epoch.value) + 1
            var state = configuration(epoch: next, of: own)
            state.configuration.version = replica.configuration.version
            state.revision = replica.memory.register.revision + 1
            _ = replica.step(.register(state), at: Moment(milliseconds: 501))
            _ = replica.step(.tick, at: Moment(milliseconds: 2_500))
        }
    }

    /// Records 1 of epoch 1 and 2 to 4 of epoch 2, and the register of epoch 3.
    private static func replica(of primary: ReplicaID) -> ReplicaCore {
        var outline = LogOutline()
        outline.append(1, of: Epoch(1))
        outline.append(3, of: Epoch(2))
        var replica = ReplicaCore(
            id: own, incarnation: process, timing: ReplicaTiming(replicas: 2),
            memory: ReplicaMemory(epoch: Epoch(2), register: configuration(epoch: 2, of: other), isSuspect: false),
            scanned: ScannedLog(outline: outline, tail: .clean), at: Moment(milliseconds: 0))
        _ = replica.step(.register(configuration(epoch: 3, of: primary)), at: Moment(milliseconds: 1))
        return replica
    }
}

extension ReplicaReport {
    static var sample: ReplicaReport {
        ReplicaReport(
            replica: ReplicaID(Bits128(high: 3, low: 4)), incarnation: Incarnation(5), isClean: true,
            durable: LogPoint(epoch: Epoch(6), index: LogIndex(700)))
    }
}
