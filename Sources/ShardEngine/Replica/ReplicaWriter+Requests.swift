import ClusterModel
import FaceModel
import Foundation
import Replication
import WriteAheadLog

/// Clients' requests: writes in batches, one outstanding at a time, and reads that must see all of them.
extension ReplicaWriter {
    /// As many as an inbox holds wait while a batch is outstanding, however long the other copies take.
    func wait(_ request: WaitingRequest) {
        guard waiting.count < Limits.logInboxMax else {
            let reason = "\(waiting.count) requests wait for its other copies already"
            return request.resume(.failure(.busy(descriptor.shard, reason: reason)))
        }
        waiting.append(request)
    }

    /// Takes as much of what waits as fits a batch, where nothing is outstanding.
    func propose() {
        while outstanding == nil, owedSync == nil, !waiting.isEmpty {
            var (count, bytes) = (0, 0)
            while count < waiting.count, bytes < Limits.batchBytesMax {
                bytes += waiting[count].request.estimatedBytes
                count += 1
            }
            let batch = Array(waiting.prefix(count))
            waiting.removeFirst(count)
            if let refusal = refusal {
                for request in batch { request.resume(.failure(refusal)) }
            } else {
                maintain()
                propose(batch)
            }
        }
    }

    /// Why this replica takes no write now, if it takes none.
    private var refusal: ShardError? {
        if let failure { return .stopped(descriptor.shard, reason: failure.text) }
        guard !core.isServing else { return nil }
        return core.isPrimary
            ? .notServing(descriptor.shard, reason: Self.unconfirmed) : .notPrimary(descriptor.shard)
    }

    private static let unconfirmed = "too few of its copies have confirmed its new primary"

    private func propose(_ requests: [WaitingRequest]) {
        let (taken, reserved) = admit(requests)
        guard !taken.isEmpty else { return }
        let proposals = taken.enumerated().map { number, request in
            Proposal(id: ProposalID(value: UInt64(number)), roots: request.roots, request: request.request)
        }
        let batch: ShardBatch
        do throws(ReplicaError) {
            let known = try state.known(keys: proposals.flatMap(\.request.keys), ids: proposals.flatMap(\.request.ids))
            batch = ShardMachine(tree: tree).batch(proposals, known: known)
        } catch {
            budget.change(by: -reserved)
            for request in taken {
                request.resume(.failure(.writesRefused(descriptor.shard, reason: error.text)))
            }
            return
        }
        let shard = descriptor.shard
        write(batch) { [budget] result in
            budget.change(by: -reserved)
            for (answer, request) in zip(batch.answers, taken) {
                request.resume(result.flatMap { answer.outcome.placed(at: $0).result(shard) })
            }
        }
    }

    /// Has the batch committed; where it holds no records, has it confirmed that nothing was decided elsewhere.
    func write(_ batch: ShardBatch, _ complete: @escaping (Result<LogIndex, ShardError>) -> Void) {
        let number = newNumber()
        guard !batch.entries.isEmpty else {
            let applied = applied
            let deadline = ContinuousClock.now + .seconds(Limits.confirmSecondsMax)
            reads[number] = OpenRead(deadline: deadline) { refusal in
                complete(refusal.map { .failure($0) } ?? .success(applied))
            }
            return step(.strongRead(number))
        }
        do throws(LogError) {
            try log.makeRoom(for: batch.entries.map(\.payload.count))
        } catch {
            guard error.isTransient else {
                complete(.failure(.stopped(descriptor.shard, reason: ReplicaError.log(error).text)))
                return stop(.log(error))
            }
            published.setWritesRefused("\(error)")
            return complete(.failure(.writesRefused(descriptor.shard, reason: "\(error)")))
        }
        outstanding = OutstandingWrite(number: number, batch: batch, complete: complete)
        step(.write(number, records: batch.entries.count))
    }

    /// Answers the requests that cannot be taken now, before anything is written for them; returns the others, and the
    /// bytes of the budget that are reserved for them.
    private func admit(_ requests: [WaitingRequest]) -> (taken: [WaitingRequest], reserved: Int) {
        guard store.hasRoom else {
            let reason = "the buffer is full and cannot be flushed: \(published.writesRefused ?? "")"
            for request in requests { request.refuse(descriptor.shard, reason) }
            return ([], 0)
        }
        let diskRefusal = DiskSpace.refusal(at: store.directory, enrolling: true, on: files)
        let deleteRefusal = DiskSpace.refusal(at: store.directory, enrolling: false, on: files)
        enrolmentRefusal = diskRefusal ?? budget.refusal(of: store.growth(adding: 1, after: 0))
        published.setWritesRefused(enrolmentRefusal)
        var (taken, faces, reserved) = ([WaitingRequest](), 0, 0)
        for request in requests {
            var refusal = deleteRefusal
            if case .enrol(let new, _) = request.request {
                let growth = store.growth(adding: new.count, after: faces)
                refusal = diskRefusal ?? budget.reserve(growth)
                if refusal == nil { (faces, reserved) = (faces + new.count, reserved + growth) }
            }
            if let refusal { request.refuse(descriptor.shard, refusal) } else { taken.append(request) }
        }
        return (taken, reserved)
    }

    func begin(_ read: WaitingRead) {
        let number = newNumber()
        reads[number] = OpenRead(deadline: read.deadline, resume: read.resume)
        step(.strongRead(number))
    }

    /// What the core answers: to the batch that is outstanding, or to a read.
    func answered(_ number: RequestNumber, _ answer: ReplicaAnswer) {
        if let write = outstanding, write.number == number {
            outstanding = nil
            write.complete(answer.result(descriptor.shard))
        } else if let read = reads.removeValue(forKey: number) {
            if case .failure(let error) = answer.result(descriptor.shard) {
                read.resume(error)
            } else {
                read.resume(nil)
            }
        }
    }
}

extension WaitingRequest {
    fileprivate func refuse(_ shard: ShardID, _ reason: String) {
        resume(.failure(.writesRefused(shard, reason: reason)))
    }
}

extension ReplicaAnswer {
    fileprivate func result(_ shard: ShardID) -> Result<LogIndex, ShardError> {
        switch self {
        case .committed(let index), .readable(let index): .success(index)
        case .unknown: .failure(.interrupted(shard))
        case .refused(.notPrimary): .failure(.notPrimary(shard))
        case .refused(.notServing), .refused(.otherGeneration):
            .failure(.notServing(shard, reason: "too few of its copies confirm that it decides"))
        case .refused(.busy): .failure(.busy(shard, reason: "too many requests wait for its other copies"))
        case .refused(.late): .failure(.deadlineExceeded(shard))
        }
    }
}

extension Proposal.Request {
    var keys: [FaceKey] {
        if case .enrol(let faces, _) = self { faces.map(\.key) } else { [] }
    }

    var ids: [FaceID] {
        if case .delete(let ids, _) = self { ids } else { [] }
    }

    /// What the request will weigh in the log, about.
    var estimatedBytes: Int {
        switch self {
        case .enrol(let faces, _): faces.reduce(0) { $0 + 256 + 4 * $1.face.vector.dimension }
        case .delete(let ids, _): ids.count * 112
        }
    }
}

extension [Change] {
    var deletedIDs: [FaceID] {
        compactMap { if case .delete(let delete) = $0 { delete.id } else { nil } }
    }
}
