import ClusterModel
import FaceModel
import Foundation
import Replication
import StorageIO
import WriteAheadLog

/// What the core decides, done: each effect wholly before the next.
extension ReplicaWriter {
    private typealias Entry = ReplicaRecords<Content.Change>.Entry

    func step(_ event: ReplicaEvent) {
        for effect in core.step(event, at: now) {
            guard failure == nil else { return }
            perform(effect)
        }
    }

    func perform(_ effect: ReplicaEffect) {
        switch effect {
        case .persist(let remembered): persist(remembered)
        case .truncate(let index): truncate(after: index)
        case .append(let first, let count, let source): append(first, count, source)
        case .synchronize(let point): owedSync = point
        case .send(let message, let replica): send(message, to: replica)
        case .apply(let index): apply(through: index)
        case .answer(let number, let answer): answered(number, answer)
        case .transact(let change): transact(change)
        case .readRegister: readRegister()
        case .fetchCopy(let source): content.fetchCopy(from: source, self)
        case .suspectPrimary(let epoch): elect(after: epoch)
        case .stop(let reason): stopped(reason)
        }
    }

    private func persist(_ remembered: ReplicaMemory) {
        records.keep(for: remembered.register.configuration.named.count)
        while true {
            do throws(FileError) {
                return try memory.write(remembered)
            } catch {
                guard case .noSpace = error else { return stop(.file(error)) }
                condition.setWritesRefused(error.sentence)
                Thread.sleep(forTimeInterval: DiskSpace.pause)
            }
        }
    }

    private func truncate(after index: LogIndex) {
        records.truncate(after: index)
        while true {
            do throws(LogError) {
                return try log.truncate(after: index)
            } catch {
                guard error.isTransient else { return stop(.log(error)) }
                condition.setWritesRefused(error.sentence)
                Thread.sleep(forTimeInterval: DiskSpace.pause)
            }
        }
    }

    private func append(_ first: LogIndex, _ count: Int, _ source: ReplicaEffect.Source) {
        let entries: [Entry]
        switch source {
        case .message: entries = received(first, count)
        case .write(let number): entries = written(number, first)
        case .epochStart: entries = [own(.epochStart, at: first)]
        case .noop: entries = [own(.noop, at: first)]
        }
        precondition(entries.count == count, "every record of an append is there")
        do throws(LogError) {
            _ = try log.append(entries.map(\.record).runs)
        } catch {
            return stop(.log(error))
        }
        for entry in entries { records.append(entry) }
    }

    private func received(_ first: LogIndex, _ count: Int) -> [Entry] {
        let last = first.advanced(by: count - 1)
        return arrived.filter { $0.lsn >= first && $0.lsn <= last }.map { .init(record: $0, change: nil) }
    }

    private func written(_ number: RequestNumber, _ first: LogIndex) -> [Entry] {
        guard let outstanding, outstanding.number == number else {
            preconditionFailure("only the batch that is outstanding is appended")
        }
        return zip(outstanding.entries, outstanding.changes).enumerated().map { offset, entry in
            .init(
                record: ReplicaRecord(entry.0, lsn: first.advanced(by: offset), epoch: core.epoch), change: entry.1)
        }
    }

    private func own(_ type: RecordType, at index: LogIndex) -> Entry {
        let entry = LogEntry(type: type, token: .none, payload: [])
        return .init(record: ReplicaRecord(entry, lsn: index, epoch: core.epoch), change: nil)
    }

    /// A record that counts must be applied before anything else happens.
    private func apply(through index: LogIndex) {
        let due = records.take(through: index)
        guard !due.isEmpty else { return }
        do throws(ReplicaError) {
            var changes: [Content.Change] = []
            for entry in due {
                if let known = entry.change {
                    changes.append(known)
                } else if let change = try content.change(entry.record) {
                    changes.append(change)
                }
            }
            try content.apply(changes, through: index)
        } catch {
            stop(error)
        }
    }

    /// What others may know of this replica's part.
    func showRole() {
        // Once it has stopped nobody else can be chosen either: what it has applied stays all there is.
        let isAlone = core.isAlone || (core.isStopped && condition.role?.isAlone == true)
        condition.setRole(
            .init(
                isAlone: isAlone, isPrimary: core.isPrimary, epoch: core.epoch, commit: core.commit, durable: durable,
                configuration: core.configuration))
        // One that an operator named alone, where more are needed, waits for others.
        let members = core.configuration.isr
        let couldServe = members == [replica] && core.configuration.minISR == 1
        guard core.isServing || failure != nil || core.isStopped || !couldServe else { return }
        for done in settling { done() }
        settling = []
    }

    private func stopped(_ reason: StopReason) {
        switch reason {
        case .logFailed where failure != nil: break
        case .conflictBelowCommit, .generationPassed:
            // Nobody counts on it any more, and what it holds is not what the shard holds: it is to be made anew.
            condition.setDamaged(ReplicaError.replica(reason).text)
            stop(.replica(reason))
        case .lossProven, .logFailed, .registerIsOlder: stop(.replica(reason))
        }
    }

    /// Ends writing for good: what is on disk can no longer be known to follow what was promised.
    func stop(_ error: ReplicaError) {
        guard failure == nil else { return }
        failure = error
        logger.critical(
            "a shard takes no more writes",
            metadata: ["shard": "\(shard)", "reason": "\(error.text)"])
        condition.setWritesRefused(error.text)
        let refusal = ShardError.stopped(shard, reason: error.text)
        if let outstanding {
            self.outstanding = nil
            outstanding.complete(.failure(refusal))
        }
        for request in waiting { request.refuse(refusal) }
        waiting = []
        for effect in core.step(.logFailed, at: now) {
            if case .answer(let number, let answer) = effect { answered(number, answer) }
        }
    }
}
