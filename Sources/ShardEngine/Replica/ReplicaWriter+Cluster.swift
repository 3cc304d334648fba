import ClusterModel
import FaceModel
import Foundation
import Replication
import WriteAheadLog

/// The other copies and the control plane.
extension ReplicaWriter {
    /// A letter to an earlier copy on this node is not for this one. What the disk has no room for is not taken: it is
    /// sent again.
    func receive(_ letter: ReplicaLetter) {
        guard letter.receiver == replica, failure == nil, !isReplaced else { return }
        guard letter.records.allSatisfy({ RecordType(rawValue: $0.type) != nil }) else {
            return stop(.record(letter.records[0].lsn, reason: "a record of a type that this release does not know"))
        }
        if !letter.records.isEmpty {
            do throws(LogError) {
                try log.makeRoom(for: letter.records.map(\.payload.count))
            } catch {
                guard error.isTransient else { return stop(.log(error)) }
                return condition.setWritesRefused(error.sentence)
            }
        }
        arrived = letter.records
        step(.message(letter.message, from: letter.sender))
        arrived = []
    }

    /// Letters to a copy whose node is not known yet are lost like any other.
    func send(_ message: ReplicaMessage, to replica: ReplicaID) {
        guard let process = processes[replica] else { return findProcesses() }
        var letter = ReplicaLetter(
            shard: shard, sender: self.replica, receiver: replica, message: message)
        if case .append(var append) = message.body, append.range.last > append.range.previous.index {
            guard let records = records(behind: append.range.previous.index, through: append.range.last),
                let last = records.last?.lsn
            else { return }
            append.range = append.range.beginning(through: last)
            letter.message.body = .append(append)
            letter.records = records
        }
        surroundings.post.send(letter, to: process.node)
    }

    /// A beginning of them, from memory or from the log; nil where the log does not reach back so far.
    private func records(behind index: LogIndex, through last: LogIndex) -> [ReplicaRecord]? {
        if let copy = records.copy(from: index.next, through: last, bytesMax: Limits.replicaLetterBytes) { return copy }
        do throws(LogError) {
            return try log.records(from: index.next, through: last, bytesMax: Limits.replicaLetterBytes)
                .map { ReplicaRecord($0) }
        } catch {
            logger.warning(
                "a copy lags behind what the log still holds",
                metadata: ["shard": "\(shard)", "reason": "\(error)"])
            return nil
        }
    }

    var report: ReplicaReport? {
        guard !core.isStopped, !isReplaced else { return nil }
        return ReplicaReport(
            replica: replica, incarnation: surroundings.incarnation, isClean: core.isClean, durable: durable)
    }

    var durable: LogPoint { LogPoint(epoch: core.log.epoch(at: core.durable) ?? Epoch(0), index: core.durable) }

    func observe(_ register: RegisterState) {
        if register.configuration.named.contains(where: { processes[$0] == nil }) { findProcesses() }
        step(.register(register))
    }

    /// A register of a copy may come after the shard's that names it, so whoever misses one asks again.
    func findProcesses() {
        guard !isFindingProcesses else { return }
        isFindingProcesses = true
        let (registers, shard, inbox) = (surroundings.registers, shard, inbox)
        Task { _ = inbox.add(.processes(try? await registers.processes(of: shard))) }
    }

    func found(_ processes: [ReplicaID: ReplicaProcess]?) {
        isFindingProcesses = false
        if let processes { self.processes = processes }
    }

    func readRegister() {
        let (registers, shard, inbox) = (surroundings.registers, shard, inbox)
        Task {
            // The core asks again for as long as it needs to know.
            if let state = try? await registers.read(shard) { _ = inbox.add(.register(state)) }
        }
    }

    func transact(_ change: Replication.RegisterTransaction) {
        let (registers, shard, inbox) = (surroundings.registers, shard, inbox)
        Task {
            let outcome = await registers.attempt(change, of: shard)
            _ = inbox.add(.transaction(change, outcome))
        }
    }

    /// In place of the primary itself another is elected: that which holds most.
    func retire(_ replica: ReplicaID) -> ShardError? {
        guard core.isPrimary else { return .notPrimary(shard) }
        if replica == self.replica { elect(after: core.epoch) } else { step(.retire(replica)) }
        return nil
    }

    /// Has a successor chosen, by this replica's node; others may do so at the same time.
    func elect(after epoch: Epoch) {
        guard !isElecting, let report else { return }
        isElecting = true
        let poll = ElectionPoll(shard: shard, own: report, surroundings: surroundings)
        let (inbox, logger, shard) = (inbox, logger, shard)
        Task {
            switch await poll.run(after: epoch) {
            case .register(let state): _ = inbox.add(.register(state))
            case .nobody(let reason):
                logger.warning(
                    "no copy can take a shard over", metadata: ["shard": "\(shard)", "reason": "\(reason)"])
            }
            _ = inbox.add(.electionEnded)
        }
    }
}

extension LogRange {
    /// As far as `end`, which is behind its beginning.
    fileprivate func beginning(through end: LogIndex) -> LogRange {
        LogRange(previous: previous, runs: runs.filter { $0.first <= end }, last: end)
    }
}
