import ClusterModel
import FaceModel
import Foundation
import Replication
import StorageIO
import WriteAheadLog

/// What the core decides, done: each effect wholly before the next.
extension ReplicaWriter {
    /// Between two looks for space on a disk that was full.
    static let spacePause = 0.2

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
        case .suspectPrimary(let epoch): elect(after: epoch)
        case .stop(let reason): stopped(reason)
        }
    }

    private func persist(_ remembered: ReplicaMemory) {
        while true {
            do throws(FileError) {
                return try memory.write(remembered)
            } catch {
                guard case .noSpace = error else { return stop(.file(error)) }
                published.setWritesRefused(error.sentence)
                Thread.sleep(forTimeInterval: Self.spacePause)
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
                published.setWritesRefused("\(error)")
                Thread.sleep(forTimeInterval: Self.spacePause)
            }
        }
    }

    private func append(_ first: LogIndex, _ count: Int, _ source: ReplicaEffect.Source) {
        let entries: [ReplicaRecords.Entry]
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

    private func received(_ first: LogIndex, _ count: Int) -> [ReplicaRecords.Entry] {
        let last = first.advanced(by: count - 1)
        return arrived.filter { $0.lsn >= first && $0.lsn <= last }.map { .init(record: $0, change: nil) }
    }

    private func written(_ number: RequestNumber, _ first: LogIndex) -> [ReplicaRecords.Entry] {
        guard let outstanding, outstanding.number == number else {
            preconditionFailure("only the batch that is outstanding is appended")
        }
        return zip(outstanding.batch.entries, outstanding.batch.changes).enumerated().map { offset, entry in
            .init(
                record: ReplicaRecord(entry.0, lsn: first.advanced(by: offset), epoch: core.epoch), change: entry.1)
        }
    }

    private func own(_ type: RecordType, at index: LogIndex) -> ReplicaRecords.Entry {
        let entry = LogEntry(type: type, token: .none, payload: [])
        return .init(record: ReplicaRecord(entry, lsn: index, epoch: core.epoch), change: nil)
    }

    /// A record that counts must be applied before anything else happens; a full disk is waited out.
    private func apply(through index: LogIndex) {
        let due = records.take(through: index)
        guard !due.isEmpty else { return }
        do throws(ReplicaError) {
            var changes: [Change] = []
            for entry in due {
                if let known = entry.change {
                    changes.append(known)
                } else if let change = try Change(entry.record) {
                    changes.append(change)
                }
            }
            let places = try applied(changes, through: index)
            for change in changes { try grow(change) }
            try show(changes, places: places, at: index)
        } catch {
            stop(error)
        }
    }

    /// The tree of buckets after a change.
    private func grow(_ change: Change) throws(ReplicaError) {
        switch change {
        case .put, .delete: break
        case .config(let config):
            let roots = config.roots.sorted()
            if roots != tree.tree.roots { tree = DatedTree(roots: roots) }
        case .split(let split, let place):
            guard tree.tree.accepts(split) else {
                throw .record(place, reason: "BucketSplit does not follow on the buckets there are")
            }
            tree.apply(split, at: place)
        }
    }

    private func applied(
        _ changes: [Change], through index: LogIndex
    ) throws(ReplicaError) -> [FaceID: RowPlace] {
        while true {
            do throws(ReplicaError) {
                let places = try state.places(of: changes.deletedIDs)
                try state.apply(changes, through: index)
                published.setWritesRefused(enrolmentRefusal)
                return places
            } catch {
                guard case .state(_, _, full: true) = error else { throw error }
                published.setWritesRefused(error.text)
                Thread.sleep(forTimeInterval: Self.spacePause)
            }
        }
    }

    private func show(
        _ changes: [Change], places: [FaceID: RowPlace], at index: LogIndex
    ) throws(ReplicaError) {
        for change in changes {
            switch change {
            case .put(let put): try store.buffer(put.row)
            case .delete(let delete): store.markDead(delete.id, at: places[delete.id])
            case .config, .split: break
            }
        }
        growth.count(changes)
        publish(at: index)
    }

    func publish(at index: LogIndex) {
        published.publish(.init(snapshot: store.snapshot, tree: tree, lsn: index))
    }

    /// What others may know of this replica's part.
    func showRole() {
        // Once it has stopped nobody else can be chosen either: what it has applied stays all there is.
        let isAlone = core.isAlone || (core.isStopped && published.role?.isAlone == true)
        published.setRole(
            .init(
                isAlone: isAlone, isPrimary: core.isPrimary, epoch: core.epoch, commit: core.commit,
                configuration: core.configuration))
        guard core.isServing || failure != nil || core.isStopped || core.configuration.isr != [descriptor.replica]
        else { return }
        for done in settling { done() }
        settling = []
    }

    private func stopped(_ reason: StopReason) {
        switch reason {
        case .logFailed where failure != nil: break
        case .lossProven, .logFailed, .conflictBelowCommit, .registerIsOlder, .generationPassed:
            stop(.replica(reason))
        }
    }

    /// Ends writing for good: what is on disk can no longer be known to follow what was promised.
    func stop(_ error: ReplicaError) {
        guard failure == nil else { return }
        failure = error
        logger.critical(
            "a shard takes no more writes",
            metadata: ["shard": "\(descriptor.shard)", "reason": "\(error.text)"])
        published.setWritesRefused(error.text)
        let refusal = ShardError.stopped(descriptor.shard, reason: error.text)
        if let outstanding {
            self.outstanding = nil
            outstanding.complete(.failure(refusal))
        }
        for request in waiting { request.resume(.failure(refusal)) }
        waiting = []
        for effect in core.step(.logFailed, at: now) {
            if case .answer(let number, let answer) = effect { answered(number, answer) }
        }
    }
}
