import ClusterModel
import FaceModel
import Foundation
import Replication
import WriteAheadLog

/// Clients' requests: writes in batches, one outstanding at a time, and reads that must see all of them.
extension ReplicaWriter {
    /// As many as an inbox holds wait while a batch is outstanding, however long the other copies take.
    func wait(_ request: Content.Request) {
        guard waiting.count < Limits.logInboxMax else {
            let reason = "\(waiting.count) requests wait for its other copies already"
            return request.refuse(.busy(shard, reason: reason))
        }
        waiting.append(request)
    }

    /// Takes as much of what waits as fits a batch, where nothing is outstanding.
    func propose() {
        while outstanding == nil, owedSync == nil, !waiting.isEmpty {
            var (count, bytes) = (0, 0)
            while count < waiting.count, bytes < Limits.batchBytesMax {
                bytes += waiting[count].estimatedBytes
                count += 1
            }
            let batch = Array(waiting.prefix(count))
            waiting.removeFirst(count)
            if let refusal = refusal {
                for request in batch { request.refuse(refusal) }
            } else {
                content.propose(batch, to: self)
            }
        }
    }

    /// Why this replica takes no write now, if it takes none.
    private var refusal: ShardError? {
        if let failure { return .stopped(shard, reason: failure.text) }
        guard !core.isServing else { return nil }
        return core.isPrimary
            ? .notServing(shard, reason: Self.unconfirmed) : .notPrimary(shard)
    }

    private static var unconfirmed: String { "too few of its copies have confirmed its new primary" }

    /// Has the batch committed; where it holds no records, has it confirmed that nothing was decided elsewhere.
    /// `changes` are what applying each of the entries does. `complete` is called once, with the position of the last.
    func write(
        _ entries: [LogEntry], _ changes: [Content.Change],
        _ complete: @escaping (Result<LogIndex, ShardError>) -> Void
    ) {
        precondition(outstanding == nil, "one batch is outstanding at a time")
        let number = newNumber()
        guard !entries.isEmpty else {
            let applied = applied
            let deadline = ContinuousClock.now + .seconds(Limits.confirmSecondsMax)
            reads[number] = OpenRead(deadline: deadline) { refusal in
                complete(refusal.map { .failure($0) } ?? .success(applied))
            }
            return step(.strongRead(number))
        }
        do throws(LogError) {
            try log.makeRoom(for: entries.map(\.payload.count))
        } catch {
            guard error.isTransient else {
                complete(.failure(.stopped(shard, reason: ReplicaError.log(error).text)))
                return stop(.log(error))
            }
            condition.setWritesRefused(error.sentence)
            return complete(.failure(.writesRefused(shard, reason: error.sentence)))
        }
        outstanding = OutstandingWrite(number: number, entries: entries, changes: changes, complete: complete)
        step(.write(number, records: entries.count))
    }

    func begin(_ read: WaitingRead) {
        let number = newNumber()
        reads[number] = OpenRead(deadline: read.deadline, resume: read.resume)
        switch read.level {
        case .strong: step(.strongRead(number))
        case .session(let seen): step(.sessionRead(number, seen.generation, seen.lsn))
        case .bounded(let milliseconds): step(.boundedRead(number, bound: milliseconds))
        }
    }

    /// What the core answers: to the batch that is outstanding, or to a read.
    func answered(_ number: RequestNumber, _ answer: ReplicaAnswer) {
        if let write = outstanding, write.number == number {
            outstanding = nil
            write.complete(answer.result(shard))
        } else if let read = reads.removeValue(forKey: number) {
            if case .failure(let error) = answer.result(shard) {
                read.resume(error)
            } else {
                read.resume(nil)
            }
        }
    }
}

extension ReplicaAnswer {
    fileprivate func result(_ shard: ShardID) -> Result<LogIndex, ShardError> {
        switch self {
        case .committed(let index), .readable(let index): .success(index)
        case .unknown: .failure(.interrupted(shard))
        case .refused(.notPrimary): .failure(.notPrimary(shard))
        case .refused(.notServing):
            .failure(.notServing(shard, reason: "too few of its copies confirm that it decides"))
        case .refused(.otherGeneration):
            .failure(.notServing(shard, reason: "its copy is of another generation than what the session has seen"))
        case .refused(.busy): .failure(.busy(shard, reason: "too many requests wait for its other copies"))
        case .refused(.late):
            .failure(.notServing(shard, reason: "its copy has not heard of all that is to be seen"))
        }
    }
}
